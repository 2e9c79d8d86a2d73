"""The commands of this project, on a machine with Python 3.11 or newer and nothing else.

    python3 run.py book            the web edition from the stored, verified outputs: _build/html
    python3 run.py book --fresh    the same from a new execution of every notebook
    python3 run.py colab           the Colab edition: colab/*.ipynb
    python3 run.py course          the course edition, for nbgrader: _build/course
    python3 run.py pdf             book and chapters as PDF: _build/pdf (needs Debian's chromium)
    python3 run.py test            units, editions, notebooks executed and compared, all pages

For daily work (CONTRIBUTING.md says when):

    python3 run.py sync            what follows from your change: set-up cells, outputs of notebooks
                                   whose code or library changed, pages, Colab edition; half a
                                   minute, and 1–3 for each notebook that is executed
    python3 run.py check [5 …]     tests that your changes touch; these chapters, or the changed
                                   ones, executed and compared; the pages: two minutes
    python3 run.py new-exercise 5 name "Title"    an exercise with all its parts, to be rewritten
    python3 run.py new-chapter name "Title"       a chapter with all its parts
    python3 run.py publish URL [--authors "A. One; B. Two"]    give your copy its own address

Each makes `.venv` in this folder on its first run and installs the locked requirements there.
"""

import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import venv
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
LOCK = ROOT / "requirements.lock"


def run(*command, log=None, **environment):
    """Run a tool of the virtual environment; its exit code. What it prints goes to `log`, a file,
    if one is named.
    """
    one_thread = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    settings = dict.fromkeys(one_thread, "1") | environment
    settings["PATH"] = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    settings |= {"VIRTUAL_ENV": str(VENV), "PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONUTF8": "1"}
    print("\n$", *command, file=log, flush=True)
    began = time.time()
    code = subprocess.call(
        [str(BIN / command[0]), *command[1:]],
        cwd=ROOT,
        env=os.environ | settings,
        stdout=log,
        stderr=log and subprocess.STDOUT,
    )
    print(f"[{command[0]}: exit {code}, {time.time() - began:.0f} s]", file=log, flush=True)
    return code


def in_parts(lock):
    """{name: lines} of a lock that are installed side by side: torch with what it brings, and the
    rest, which takes as long.
    """
    entries = re.split(r"\n(?=\w)", lock.strip())
    of_torch = [bool(re.match("torch|nvidia|cuda|triton", entry)) for entry in entries]
    chosen = lambda which: "\n".join(e for e, its in zip(entries, of_torch) if its == which) + "\n"
    return {"torch": chosen(True), "rest": chosen(False)}


def install():
    stamp = VENV / "installed"
    want = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == want:
        return
    print(f"Setting up {VENV} (torch and its libraries are about 5 GB; once).", flush=True)
    venv.create(VENV, with_pip=True, clear=True)
    # of 14,000 modules Python compiles those that are used, when they are: half a minute less
    pip = "python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps".split()
    parts = {VENV / f"{name}.txt": lines for name, lines in in_parts(LOCK.read_text()).items()}
    for path, lines in parts.items():
        path.write_text(lines)
    with ThreadPoolExecutor() as side_by_side:
        codes = side_by_side.map(lambda path: run(*pip, "--require-hashes", "-r", path), parts)
    own = "--no-build-isolation -e .".split()
    # nothing was looked up beyond the lock, so that it is whole is asked for at the end
    if any(codes) or run(*pip, *own) or run("python", "-m", "pip", "check"):
        sys.exit("installation failed; the lines above say why. Run the command again.")
    stamp.write_text(want)


def digest(*patterns):
    """Of the files of this project that match."""
    found = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in ROOT.glob(pattern)):
        if path.is_file() and "checkpoint" not in str(path):
            found.update(path.read_bytes())
    return found.hexdigest()


def build(fresh=False, everything=False, log=None, **environment):
    """The web edition. Pages whose sources did not change stay, unless the tools that make pages
    did or `everything` is asked for; if nothing changed, nothing is done.
    """
    stamp = ROOT / "_build" / "made_by"
    looks = ("book/_static/*.*", "book/_static/scripts/*", "book/_templates/*")
    tools = digest("requirements.lock", "tools/*.py", *looks, "_*.yml", "CITATION.cff")
    made_by = [tools, digest("book/**/*.*", "fe/**/*.py", "results/*.json")]
    pages = ROOT / "_build" / "html" / "index.html"
    known = stamp.read_text().split() if stamp.exists() and pages.exists() else [""]
    command = ["jupyter-book", "build", ".", "-W", "--keep-going"]
    if everything or fresh or known[0] != tools:
        command.append("--all")
        shutil.rmtree(pages.parent, ignore_errors=True)  # with pages that no source makes any more
    elif known == made_by:
        print("the pages are as they were", file=log, flush=True)
        return 0
    if fresh:
        config = ROOT / "_build" / "fresh_config.yml"
        config.parent.mkdir(exist_ok=True)
        settings = "  execute_notebooks: force\n  timeout: 600\n  raise_on_error: true"
        config.write_text(
            (ROOT / "_config.yml").read_text().replace('  execute_notebooks: "off"', settings)
        )
        command += ["--config", str(config)]
    stamp.unlink(missing_ok=True)
    # a configuration below _build does not find the extensions in tools/ by itself
    code = run(*command, log=log, PYTHONPATH=str(ROOT / "tools"), **environment)
    if not code:
        stamp.write_text("\n".join(made_by))
    return code


def book(fresh=False):
    code = build(fresh)
    if not code:
        print(
            f"\nThe book is built. Open {ROOT / '_build' / 'html' / 'index.html'}\nor serve it: "
            "python3 -m http.server -d _build/html"
        )
    return code


def tool(name, *arguments, log=None):
    return run("python", f"tools/{name}.py", *arguments, log=log, PYTHONPATH=str(ROOT / "tools"))


def pdf(log=None):
    """Build pages that offer their PDFs, and print those."""
    return build(everything=True, log=log, FE_PDF="1") or tool("pdf", log=log)


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2


def pytest(*what, log=None, workers=4):
    """Tests side by side (a kernel with torch takes up to 1 GB), without a reader's own results.
    conftest.py says which may run apart.
    """
    options = f"-n {max(1, min(cores(), workers))} --dist loadfile -p no:cacheprovider -q -rs"
    options += " --durations=15 --no-loadscope-reorder"
    settings = dict(FE_TESTING="1")
    with tempfile.TemporaryDirectory() as empty:
        settings["FE_RESULTS"] = empty
        return run("python", "-m", "pytest", *what, *options.split(), log=log, **settings)


def at_once(stages, after={}):
    """Run {name: function of a log} side by side, show each one's log when it ends; the names of
    those that failed. A stage in `after` begins when the earlier one named there has ended.
    """
    failed, folder, lock = [], ROOT / "_build" / "logs", threading.Lock()
    folder.mkdir(parents=True, exist_ok=True)

    def one(name):
        if name in after:
            threads[after[name]].join()
        began, path = time.time(), folder / f"{name.replace(' ', '-')}.txt"
        with open(path, "w") as log:
            try:
                code = stages[name](log)
            except Exception as error:
                code = 1
                print(f"{type(error).__name__}: {error}", file=log, flush=True)
        with lock:
            print(path.read_text(errors="replace"), end="", flush=True)
            waiting.discard(name)
            print(
                f"\n{'FAILED' if code else 'passed'}: {name} ({time.time() - began:.0f} s). Still "
                f"running: {', '.join(sorted(waiting)) or 'nothing of this part'}.",
                flush=True,
            )
            if code:
                failed.append(name)

    waiting = set(stages)
    print(f"\nrunning side by side: {', '.join(stages)}", flush=True)
    threads = {name: threading.Thread(target=one, args=(name,)) for name in stages}
    for thread in threads.values():
        thread.start()
    for thread in threads.values():
        thread.join()
    return failed


NBVAL = ["--nbval", "--nbval-current-env", "--nbval-cell-timeout=600"]
NEED_THE_PAGES = [
    f"tests/test_{name}.py" for name in ("claims", "colab", "course", "pdf", "reading")
]


def test():
    """Notebooks and units, beside the pages and what needs them. Two stages at a time: a third
    would want more memory.
    """
    began = time.time()
    ignored = [f"--ignore={path}" for path in ("tests/browser", *NEED_THE_PAGES)]
    units = ["tests", *ignored, "--doctest-modules", "fe", "book", *NBVAL]
    stages = {
        "pages and PDF": pdf
        if shutil.which("chromium")
        else lambda log: build(everything=True, log=log),
        "notebooks and units": lambda log: pytest(*units, log=log),
        "browser and editions": lambda log: pytest(*NEED_THE_PAGES, "tests/browser", log=log),
    }
    failed = at_once(stages, after={"browser and editions": "pages and PDF"})
    took = f"{(time.time() - began) / 60:.1f} minutes"
    print(f"\nFAILED: {', '.join(failed)} ({took})" if failed else f"\nall stages passed in {took}")
    return int(bool(failed))


def sync():
    """What follows from the sources, in the one order that works; it stops at the first step that
    fails.
    """
    return tool("setup_cell") or tool("execute", "--changed") or build() or tool("colab")


def check(*chapters):
    """The pages and the tests that the changes touch, beside the chapters."""
    sys.path.insert(0, str(ROOT / "tools"))
    import uses

    paths = uses.changed()
    books = {p.name[:2].lstrip("0"): p for p in sorted((ROOT / "book").glob("[0-9]*.ipynb"))}
    if unknown := set(chapters) - set(books):
        sys.exit(f"no chapter {', '.join(unknown)}; there are {', '.join(books)}")
    a_chapters = re.compile(r"(?:chapter)?0*(\d+)(?:\.py|-.*\.ipynb)")  # notebook, checks, answers
    touched = {found[1] for path in paths if (found := a_chapters.fullmatch(path.name))}
    numbers = chapters or [number for number in books if number in touched]
    names = "book", "claims", "project", "exercises", "colab"
    always = {ROOT / "tests" / f"test_{name}.py" for name in names}
    found = set(uses.tests(paths))
    short = lambda files: [str(path.relative_to(ROOT)) for path in files]
    tests, notebooks = short(sorted(found | always)), short(books[n] for n in numbers)
    words = [*(f"ex-{number}-" for number in numbers), *(books[n].stem for n in numbers)]
    of_these = " or ".join(["labels", "in_step", "links", *words])
    only = "not runs_alone"
    for name in ("exercises", "colab"):  # of these two the tests that look at the chapters
        if ROOT / "tests" / f"test_{name}.py" not in found:
            only += f" and (not test_{name} or {of_these})"
    print(f"tests: {', '.join(tests)}\nchapters: {', '.join(notebooks) or 'none'}", flush=True)

    def pages_and_tests(log):
        return build(log=log) or pytest(*tests, "-k", only, log=log, workers=cores() // 2)

    def executed(log):
        return pytest(*notebooks, *NBVAL, log=log, workers=cores() // 2)

    stages = {"pages and tests": pages_and_tests} | ({"chapters": executed} if notebooks else {})
    failed = at_once(stages)
    print(f"\nFAILED: {', '.join(failed)}" if failed else "\nall of this passed")
    return int(bool(failed))


COMMANDS = {
    ("book",): book,
    ("book", "--fresh"): lambda: book(fresh=True),
    ("test",): test,
    ("sync",): sync,
    ("colab",): lambda: build() or tool("colab"),
    ("course",): lambda: tool("course"),
    ("pdf",): pdf,
}
WITH_ARGUMENTS = {
    "check": check,
    "new-exercise": lambda *a: tool("new", "exercise", *a),
    "new-chapter": lambda *a: tool("new", "chapter", *a),
    "publish": lambda *a: tool("publish", *a) or sync() or tool("publish", "--check"),
}


def main(arguments):
    if sys.version_info < (3, 11):
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    command = COMMANDS.get(tuple(arguments))
    if command is None and arguments and arguments[0] in WITH_ARGUMENTS:
        command = lambda: WITH_ARGUMENTS[arguments[0]](*arguments[1:])
    if command is None:
        sys.exit(__doc__)
    install()
    return command()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
