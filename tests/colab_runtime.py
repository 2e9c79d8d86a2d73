"""The whole Colab edition with Colab's own versions (some 6 GB), compared with the book:

    python3.13 -m venv _build/colab
    _build/colab/bin/pip install -r tests/colab.txt
    .venv/bin/python -m pytest tests/colab_runtime.py [-k 05]

Each notebook runs in an empty folder, where its set-up cell installs the library's wheel, and the
environment stays as it is.
"""

import nbformat
import pytest

import bare

PYTHON = bare.ROOT / "_build" / "colab" / "bin" / "python"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    assert PYTHON.exists(), __doc__
    return bare.wheels(tmp_path_factory.mktemp("wheels"))


@pytest.mark.parametrize("name", sorted(p.stem for p in (bare.ROOT / "colab").glob("*.ipynb")))
def test_it_prints_what_the_book_shows(name, tmp_path, wheel):
    notebook = nbformat.read(bare.ROOT / "colab" / f"{name}.ipynb", 4)
    (site := tmp_path / "site").mkdir()
    bare.run(notebook, PYTHON, tmp_path, wheel, PIP_TARGET=str(site), PYTHONPATH=str(site))
    assert (site / "fe").exists() and (site / "ot").exists(), "it ran with another library"
    assert bare.differences(notebook, name) == []
