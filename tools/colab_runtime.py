"""The whole Colab edition with Colab's own versions, compared with the book: python
tools/colab_runtime.py [CHAPTER …]

Makes `_build/colab-runtime` on its first run (Python 3.13 and the packages of Colab's freeze of
August 2026, some 6 GB), then
runs each notebook in an empty folder, where its set-up cell installs the library's wheel, and says
what prints otherwise.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import nbformat

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import bare  # noqa: E402

VERSIONS = {
    "torch": "2.11.0",
    "torchvision": "0.26.0",
    "numpy": "2.1.3",
    "scipy": "1.16.3",
    "scikit-learn": "1.6.1",
    "matplotlib": "3.10.0",
    "ipython": "7.34.0",
    "ipywidgets": "7.7.1",
    "ipykernel": "6.17.1",
    "tqdm": "4.67.1",
    "setuptools": "75.2.0",
}
HERE = ROOT / "_build" / "colab-runtime"


def environment():
    """The python of the environment."""
    python, done = HERE / "bin" / "python", HERE / "done"
    wanted = " ".join(f"{name}=={version}" for name, version in VERSIONS.items())
    if not done.exists() or done.read_text() != wanted:
        if not (found := shutil.which("python3.13")):
            raise SystemExit("Colab has Python 3.13, and there is no python3.13 on the PATH")
        subprocess.run([found, "-m", "venv", "--clear", HERE], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted.split()], check=True)
        done.write_text(wanted)
    return python


def main(chapters):
    python, failed = environment(), []
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        wheel = bare.wheels(folder / "wheels")
        for path in sorted((ROOT / "colab").glob("*.ipynb")):
            if chapters and str(int(path.name[:2])) not in chapters:
                continue
            began, notebook = time.time(), nbformat.read(path, 4)
            try:
                bare.run(notebook, python, folder / path.stem, wheel)
                found = bare.differences(notebook, path.stem)
            except Exception as error:
                found = [("it stopped", f"{type(error).__name__}: {str(error)[-1500:]}", "")]
            print(
                f"{path.name}: {time.time() - began:.0f} s, {len(found)} cells print otherwise "
                "than in the book",
                flush=True,
            )
            for source, here, book in found:
                print(f"--- {source[:400]}\n--- here\n{here}\n--- in the book\n{book}", flush=True)
            failed += [path.name] if found else []
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
