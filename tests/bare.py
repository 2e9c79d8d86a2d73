"""An environment that has what Colab has and nothing else, made in a second from the packages that
are installed here.

Each distribution of `COLAB` and of what it needs is linked, file tree by file tree, into an empty
virtual environment. A wheel of `fe` and one of POT lie in a folder beside it, so that the
notebooks' own set-up cell can install them without a network.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from importlib import metadata

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NEEDED = [
    Requirement(line).name
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["notebooks"]
]
COLAB = [name for name in NEEDED if name != "pot"] + ["ipykernel", "pip"]


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
        for top in {
            file.parts[0]
            for file in distribution.files
            if file.parts[0] not in ("..", "__pycache__")
        }:
            source, target = pathlib.Path(distribution.locate_file(top)), site / top
            if source.suffix != ".pth" and source.exists() and not target.exists():
                target.symlink_to(source)
    return pathlib.Path(folder) / "bin" / "python"


def wheels(folder):
    """Wheels of `fe`, from a copy of its sources, and of POT in the locked version; path of the
    first.
    """
    sources = pathlib.Path(folder) / "sources"
    for name in ("fe", "results"):
        shutil.copytree(
            ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__", "checkpoints")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    pot = re.search(
        r"^pot==[\d.]+", (ROOT / "requirements.lock").read_text(), re.MULTILINE | re.IGNORECASE
    )[0]
    for what in ([str(sources), "--no-build-isolation"], [pot, "--only-binary", ":all:"]):
        subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, *what],
            check=True,
        )
    (wheel,) = pathlib.Path(folder).glob("free_energy_book-*.whl")
    return wheel


def run(notebook, python, folder, wheel, **environment):
    """Run a notebook in place, in the environment of `python` and in an empty folder `folder`/work,
    which it returns; the set-up cell finds `wheel`.
    """
    work, spec = folder / "work", folder / "kernels" / "bare"
    work.mkdir(parents=True), spec.mkdir(parents=True)
    settings = dict.fromkeys(("PYTHONPATH", "VIRTUAL_ENV", "FE_RESULTS"), "") | dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
    )
    settings |= dict(
        HOME=str(folder),
        FE_PACKAGE=str(wheel),
        FE_SCALE="small",
        PIP_FIND_LINKS=str(wheel.parent),
        PYTHONNOUSERSITE="1",
        **environment,
    )
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "language": "python", "display_name": "bare", "env": settings})
    )
    manager = AsyncKernelManager(
        kernel_name="bare", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(spec.parent)])
    )
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=1200,
        iopub_timeout=60,
        raise_on_iopub_timeout=True,
        resources={"metadata": {"path": str(work)}},
    )
    client.owns_km = True  # it ends the kernel when it is done; ten idle ones would fill the memory
    client.execute()
    return work


def printed(outputs):
    return "".join("".join(o["text"]) for o in outputs if o.get("name") == "stdout")


def differences(notebook, name):
    """[(source, printed here, printed in the book), …] of the cells that print something else than
    the book's chapter `name` shows.
    """
    stored = {
        c["id"]: c for c in json.loads((ROOT / "book" / f"{name}.ipynb").read_text())["cells"]
    }
    compared = [
        (cell, stored[cell.id])
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.id in stored
    ]
    return [
        (cell.source, printed(cell.outputs), printed(book["outputs"]))
        for cell, book in compared
        if "nbval-ignore-output" not in book["metadata"].get("tags", [])
        and printed(cell.outputs) != printed(book["outputs"])
    ]
