"""An environment that has what Colab has and nothing else, made in a second from the packages that are installed here.

Each distribution of `COLAB` and of what it needs is linked, file tree by file tree, into an empty virtual environment. A wheel of `fe`
and one of POT lie in a folder beside it, so that the notebooks' own set-up cell can install them without a network.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import venv
from importlib import metadata

from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parents[1]
COLAB = ("torch", "torchvision", "numpy", "scipy", "scikit-learn", "matplotlib", "tqdm", "ipywidgets", "ipykernel", "pip")


def closure(names):
    """The installed distributions of `names` and of everything that they require here."""
    found, todo = {}, list(names)
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        for requirement in map(Requirement, found[name].requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    return found.values()


def make(folder, names=COLAB):
    """A virtual environment in `folder`; its python."""
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    (site,) = pathlib.Path(folder).glob("lib/python*/site-packages")
    for distribution in closure(names):
        for top in {file.parts[0] for file in distribution.files if file.parts[0] not in ("..", "__pycache__")}:
            source, target = pathlib.Path(distribution.locate_file(top)), site / top
            if source.suffix != ".pth" and source.exists() and not target.exists():
                target.symlink_to(source)
    return pathlib.Path(folder) / "bin" / "python"


def wheels(folder):
    """Wheels of `fe`, from a copy of its sources, and of POT in the locked version; path of the first."""
    sources = pathlib.Path(folder) / "sources"
    for name in ("fe", "results"):
        shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "checkpoints"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    (pot,) = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line.lower().startswith("pot==")]
    for what in ([str(sources), "--no-build-isolation"], [pot, "--only-binary", ":all:"]):
        subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, *what], check=True)
    (wheel,) = pathlib.Path(folder).glob("free_energy_book-*.whl")
    return wheel
