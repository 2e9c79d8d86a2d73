"""The commands of this project, on a machine with Python 3.11 or newer and nothing else.

    python3 run.py book            the web edition, from the stored, verified outputs
    python3 run.py book --fresh    the same from a new execution of every notebook
    python3 run.py colab           the Colab edition: colab/*.ipynb
    python3 run.py course          the course edition: _build/course, for nbgrader
    python3 run.py pdf             the book and each chapter as PDF: _build/pdf (needs Debian's chromium)
    python3 run.py test            unit tests, every edition, every notebook executed and compared, all pages in a browser

Each makes `.venv` in this folder on its first run and installs the locked requirements there.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import venv

ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
LOCK = ROOT / "requirements.lock"


def run(*command, **environment):
    """Run a tool of the virtual environment; its exit code."""
    one_thread = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    env = os.environ | one_thread | {"PATH": path, "VIRTUAL_ENV": str(VENV), "PYDEVD_DISABLE_FILE_VALIDATION": "1"} | environment
    print("\n$", *command, flush=True)
    began = time.time()
    code = subprocess.call([str(BIN / command[0]), *command[1:]], cwd=ROOT, env=env)
    print(f"[{command[0]}: exit {code}, {time.time() - began:.0f} s]", flush=True)
    return code


def install():
    stamp = VENV / "installed"
    want = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == want:
        return
    print(f"Setting up {VENV} (torch and its libraries are about 5 GB; once).", flush=True)
    venv.create(VENV, with_pip=True, clear=True)
    for step in (["-r", str(LOCK)], ["--no-deps", "-e", "."]):
        if run("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *step):
            sys.exit("installation failed; the lines above say why. Run the command again to go on.")
    stamp.write_text(want)


def build(fresh=False, **environment):
    command = ["jupyter-book", "build", ".", "-W", "--keep-going", "--all"]
    if fresh:
        config = ROOT / "_build" / "fresh_config.yml"
        config.parent.mkdir(exist_ok=True)
        settings = "  execute_notebooks: force\n  timeout: 600\n  raise_on_error: true"
        config.write_text((ROOT / "_config.yml").read_text().replace('  execute_notebooks: "off"', settings))
        command += ["--config", str(config)]
    # a configuration below _build does not find the extensions in tools/ by itself
    return run(*command, PYTHONPATH=str(ROOT / "tools"), **environment)


def book(fresh=False):
    code = build(fresh)
    if not code:
        print(f"\nThe book is built. Open {ROOT / '_build' / 'html' / 'index.html'}\nor serve it: python3 -m http.server -d _build/html")
    return code


def tool(name):
    return run("python", f"tools/{name}.py", PYTHONPATH=str(ROOT / "tools"))


def pdf():
    """Build pages that offer their PDFs, and print those."""
    return build(FE_PDF="1") or tool("pdf")


def test():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    workers = str(min(cores, 4))  # a kernel with torch takes up to 1 GB
    xdist = ["-n", workers, "-p", "no:cacheprovider", "-q", "-rs"]
    empty = tempfile.TemporaryDirectory()  # for FE_RESULTS: the book's own results are tested, not those of your own long runs
    pytest = lambda *what: run("python", "-m", "pytest", *what, *xdist, FE_RESULTS=empty.name)
    stages = {
        "pages and PDF": pdf if shutil.which("chromium") else build,
        "units and editions": lambda: pytest("tests", "--ignore=tests/browser", "--doctest-modules", "fe", "--dist", "worksteal", "--durations=15"),
        "notebooks": lambda: pytest("book", "--nbval", "--nbval-current-env", "--nbval-cell-timeout=600", "--dist", "loadscope"),
        "browser": lambda: pytest("tests/browser", "--dist", "load"),
    }
    failed, left = [], list(stages)
    for name, stage in stages.items():
        left.remove(name)
        if code := stage():
            failed.append(name)
            print(f"\nFAILED: {name} (exit code {code}); the lines above say why. Still to run: {', '.join(left) or 'nothing'}.", flush=True)
    print(f"\nFAILED: {', '.join(failed)}" if failed else "\nall stages passed")
    return int(bool(failed))


COMMANDS = {
    ("book",): book, ("book", "--fresh"): lambda: book(fresh=True), ("test",): test,
    ("colab",): lambda: tool("colab"), ("course",): lambda: tool("course"), ("pdf",): pdf,
}


def main(arguments):
    if sys.version_info < (3, 11):
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    if tuple(arguments) not in COMMANDS:
        sys.exit(__doc__)
    install()
    return COMMANDS[tuple(arguments)]()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
