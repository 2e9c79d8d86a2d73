"""The Colab edition: nothing of MyST left, the book's own numbers, in step with book/, and it runs
where only Colab's packages are.
"""

import functools
import html
import importlib.util
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

import bare
from aside import aside, module

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import setup_cell

import colab

CHAPTERS = [path.stem for path in sorted((ROOT / "book").glob("[0-9]*.ipynb"))]
# the chapter that runs to its end, since its code uses most of what Colab brings
WHOLE = "08-optimal-transport"


def cells(folder, name, kind):
    return [
        (c, "".join(c["source"]))
        for c in json.loads((ROOT / folder / f"{name}.ipynb").read_text())["cells"]
        if c["cell_type"] == kind
    ]


@pytest.fixture(scope="session")
def built():
    """The folder of the pages, built from the sources as they are."""
    try:
        colab.out_of_step()
    except SystemExit as error:
        (pytest.fail if os.environ.get("FE_TESTING") else pytest.skip)(str(error))
    return ROOT / "_build" / "html" / "book"


# -- what is stored
# ------------------------------------------------------------------------------------------------


def test_the_edition_is_in_step_with_the_book(built):
    assert colab.out_of_step() == [], "run python3 run.py colab"


def test_drift_is_found(built, tmp_path):
    """A word changed, a file that belongs to no chapter: both are named. A source that changed
    since the build is an error.
    """
    (tmp_path / "_build").symlink_to(ROOT / "_build")
    shutil.copytree(ROOT / "book", tmp_path / "book", ignore=shutil.ignore_patterns("_static"))
    shutil.copytree(ROOT / "colab", tmp_path / "colab")
    path = tmp_path / "colab" / f"{CHAPTERS[0]}.ipynb"
    path.write_text(path.read_text().replace("nats", "bits", 1))
    (tmp_path / "colab" / "99-gone.ipynb").write_text("{}")
    assert colab.out_of_step(tmp_path) == [f"{CHAPTERS[0]}.ipynb", "99-gone.ipynb"]
    source = tmp_path / "book" / "glossary.md"
    source.write_text(source.read_text() + "A sentence.\n")
    with pytest.raises(SystemExit, match="book/glossary.md"):
        colab.out_of_step(tmp_path)


@pytest.mark.parametrize("name", CHAPTERS)
def test_its_code_is_the_books(name):
    """Cell by cell, but for the title that folds a cell."""
    theirs = [(c["id"], source) for c, source in cells("book", name, "code")]
    ours = [(c["id"], re.sub(r"^# @title .*\n", "", s)) for c, s in cells("colab", name, "code")]
    assert ours == theirs


@pytest.mark.parametrize("name", CHAPTERS)
def test_stored_results_come_through_the_library(name):
    """`notebook.results(NAME)` works wherever the notebook lies; a path into the repository does
    not.
    """
    assert not [
        source
        for _, source in cells("book", name, "code")
        if re.search(r"results/|\bPath\(", source)
    ]


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_is_valid_small_and_without_outputs(name):
    path = ROOT / "colab" / f"{name}.ipynb"
    stored = nbformat.read(path, 4)
    nbformat.validate(stored)
    assert path.stat().st_size < 250_000
    assert all(
        c.outputs == [] and c.execution_count is None for c in stored.cells if c.cell_type == "code"
    )
    assert len({c.id for c in stored.cells}) == len(stored.cells)


@pytest.mark.parametrize("name", CHAPTERS)
def test_set_up_comes_first_and_says_how_long_the_chapter_runs(name):
    first, source = cells("colab", name, "code")[0]
    assert "setup" in first["metadata"]["tags"] and source.endswith(
        setup_cell.source(json.loads((ROOT / "book" / f"{name}.ipynb").read_text()))
    )
    call = eval(
        "dict" + source.partition("notebook.start")[2], dict.fromkeys(("scale", "device", "keep"))
    )
    time = call["time"]
    assert re.search(r"\d+ (min|s)", time) and time in cells("book", name, "markdown")[0][
        1
    ].replace("`", "")
    choices = re.findall(r"^(\w+) = .*# @param", source, re.MULTILINE)
    assert choices == [name for name in call if name != "time"]
    code = "\n".join(source for _, source in cells("book", name, "code")[1:])
    assert ("scale" in choices) == ("device" in choices) == ("reproduce.main(" in code), (
        "offered where they do something"
    )
    assert ("keep" in choices) == ("notebook.results(" in code)


@pytest.mark.parametrize(
    "package, said",
    [
        ("", "does not say where to get it"),
        (
            "/nowhere/fe-1-py3-none-any.whl",
            "pip could not install /nowhere/fe-1-py3-none-any.whl. .*nowhere",
        ),
    ],
)
def test_a_set_up_that_cannot_install_says_why(package, said, monkeypatch):
    """Without `fe`: as in a copy that has no address yet, and with an address that leads
    nowhere.
    """
    source = setup_cell.source({"cells": []}).split("from fe import")[0]
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "fe" else find(name)
    )
    monkeypatch.setenv("FE_PACKAGE", package)
    with pytest.raises(SystemExit, match=said):
        exec(source, {})


def test_what_is_installed_is_the_wheel_of_this_version(tmp_path):
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[
        1
    ]
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for address, wheel in (
        (setup_cell.PLACEHOLDER, ""),
        (
            "https://github.com/someone/book",
            f"https://github.com/someone/book/releases/download/v{version}/free_energy_book-{version}-py3-none-any.whl",
        ),
    ):
        (tmp_path / "_config.yml").write_text(f"repository: {{url: '{address}'}}")
        assert setup_cell.wheel(tmp_path) == wheel
        names = {"os": os}
        exec(
            re.search(
                r"^package = .*?\)$",
                setup_cell.source({"cells": []}, tmp_path),
                re.MULTILINE | re.DOTALL,
            )[0],
            names,
        )
        assert names["package"] == os.environ.get("FE_PACKAGE", wheel)


def words_of(soup, *junk):
    """The words of an HTML text and of its mathematics, in order, without the parts named, and
    without what Sphinx puts around lines of a formula.
    """
    for part in soup.select(", ".join(["style", "script", *junk])):
        part.decompose()
    return re.findall(r"\w+", re.sub(r"\\(begin|end)\{split\}", "", soup.get_text(" ")))


def words_of_page(path):
    """Without code and what it printed, texts on hover, what stands below the chapter."""
    article = BeautifulSoup(path.read_text(), "html.parser").select_one("article")
    for cell in article.select("div.cell"):
        captions = [caption.extract() for caption in cell.select("figcaption")]
        cell.clear()
        cell.extend(captions)
    below = ["details.cite", "p.take-away", "a.headerlink", ".symbol-text"]
    numbers = ["span.eqno", "h2 .section-number", "h3 .section-number"]
    return words_of(article, *below, *numbers, ".solution > p.admonition-title")


def words_of_edition(sources):
    """As a browser shows this Markdown, without the list of references."""
    markdown = (
        MarkdownIt("commonmark", {"html": True})
        .enable("table")
        .use(dollarmath_plugin, double_inline=True)
    )
    shown = "\n".join(map(markdown.render, sources))
    shown = re.sub(r"\\tag\{[\d.]+\}|<strong>Aside</strong>", "", shown)
    shown = re.sub(r"<summary><b>Solution to .*</summary>", "", shown)
    return words_of(BeautifulSoup(shown, "html.parser"))


@pytest.mark.parametrize("name", CHAPTERS)
def test_its_words_are_those_of_the_page(name, built):
    """All of them in their order, and all mathematics: headings, numbers of theorems and figures,
    references and citations as they read, captions, tables, solutions.
    """
    sources = [source for _, source in cells("colab", name, "markdown")][:-1]
    theirs, ours = words_of_page(built / f"{name}.html"), words_of_edition(sources)
    for i, (one, other) in enumerate(itertools.zip_longest(theirs, ours)):
        assert one == other, (
            f"{' '.join(theirs[i - 9 : i + 5])!r}: {' '.join(ours[i - 9 : i + 5])!r}"
        )
    lost = sources[len(sources) // 2].rpartition("\n\n")[0]
    without = [lost if i == len(sources) // 2 else s for i, s in enumerate(sources)]
    assert words_of_edition(without) != theirs, "a lost paragraph is noticed"


@pytest.mark.parametrize("name", CHAPTERS)
def test_it_is_Markdown_that_notebooks_show(name, built):
    """Equations have the page's numbers; mathematics in a quotation stands on one line, what folds
    is closed, references are listed, no link is relative.
    """
    page = BeautifulSoup((built / f"{name}.html").read_text(), "html.parser").select_one("article")
    sources = [source for _, source in cells("colab", name, "markdown")]
    text = "\n".join(sources)
    numbers = [re.search(r"[\d.]+", e.text)[0] for e in page.select("span.eqno")]
    assert re.findall(r"\\tag\{([\d.]+)\}", text) == numbers != []
    assert all(line.count("$$") % 2 == 0 for line in re.findall(r"^> .*", text, re.MULTILINE))
    for source in sources:
        assert source.count("<details>") == source.count("</details>") == source.count("<summary>")
    assert not re.search(r"\]\((?!https://)", re.sub(r"\$[^$]+\$|`[^`]+`", "", text))
    cited = {a["href"] for a in page.select(".bibtex-citation a")}
    assert sources[-1].startswith("## References") and sources[-1].count("\n- ") == len(cited) > 0


def test_links_lead_to_the_edition_and_to_pages_that_exist():
    """The repository's address stands in no other place, so `publish` and a build change it."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    repository = "/".join(config["repository"]["url"].split("/")[-2:])
    for name in CHAPTERS:
        for _, source in cells("colab", name, "markdown"):
            found = re.findall(rf"\]\((https://[^)]*{repository}/[^)]*)\)", source)
            assert len(found) == source.count(repository)
            for address in found:
                path = re.sub(r".*/(blob|raw)/[^/]+/", "", address)
                assert (ROOT / path).exists(), address
                page = re.sub(r"\.(ipynb|md)$", "", path.replace("colab/", "book/"))
                assert address == colab.address(page)
    page = "book/05-moving-on-the-surface"
    assert colab.address(page).endswith("/colab/05-moving-on-the-surface.ipynb")


@pytest.mark.parametrize("name", CHAPTERS)
def test_launch_buttons_open_the_edition(name, built):
    page = html.unescape((built / f"{name}.html").read_text())
    links = re.findall(r'href="(https://(?:colab|mybinder)[^"]*ipynb)"', page)
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    on_github = config["repository"]["url"].startswith("https://github.com/")
    assert len(links) == 1 + on_github and all(
        url.endswith(f"/colab/{name}.ipynb") for url in links
    ), links


def test_binder_gets_this_checkout_and_a_python_that_it_accepts():
    script = ROOT / ".binder" / "postBuild"
    assert (
        os.access(script, os.X_OK)
        and 'install --no-cache-dir -e ".[notebooks]"' in script.read_text()
    )
    wanted = yaml.safe_load((ROOT / ".binder" / "environment.yml").read_text())["dependencies"]
    python = wanted[0].removeprefix("python=")
    needed = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert tuple(map(int, python.split("."))) >= tuple(map(int, needed.split(".")))


# -- a page with everything
# ------------------------------------------------------------------------------------------------

OWN = "https://github.com/someone/a-book"
SAMPLES = {  # what: (MyST of a cell, its Markdown); each extension of _config.yml by its name
    what: (source, plain.replace("URL", OWN))
    for what, source, plain in re.findall(
        r"^=== ([^\n]*)\n(.*?)\n---\n(.*?)\n(?=\n===|\Z)",
        (ROOT / "tests" / "samples.txt").read_text(),
        re.MULTILINE | re.DOTALL,
    )
}
EXTENSIONS = ["myst_nb", "sphinx_design", "sphinx_exercise", "sphinx_proof", "colab"]
EXTENSIONS += ["sphinxcontrib.bibtex", "sphinx_book_theme"]
SETTINGS = (
    f"extensions = {EXTENSIONS}"
    + """
import yaml
myst_enable_extensions = yaml.safe_load(open("_config.yml"))["parse"]["myst_enable_extensions"]
myst_substitutions = {"name": "**what is put in**"}
myst_heading_anchors, myst_dmath_double_inline = 2, True
numfig, math_numfig, myst_footnote_transition = True, True, False
nb_execution_mode, root_doc, html_theme = "off", "book/index", "sphinx_book_theme"
bibtex_bibfiles, bibtex_reference_style = ["book/a.bib"], "author_year"
exclude_patterns = ["_build"]
"""
)


def build(folder, *cells):
    """Sphinx's exit code and warnings for a book of one chapter with these cells."""
    (folder / "book").mkdir(exist_ok=True)
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["repository"]["url"], config["html"] = OWN, {}
    (folder / "_config.yml").write_text(yaml.safe_dump(config))
    shutil.copy(ROOT / "book" / "_static" / "surface.png", folder / "book" / "a.png")
    pages = {
        "index.md": "# Book\n\n```{toctree}\n:numbered:\nchapter\n```\n```{toctree}\nother\n```",
        "other.md": "# Other\n\n## There\n\n```{bibliography}\n```",
        "a.bib": "@book{b90, author = {A. B}, title = {T}, publisher = {P}, year = {1990}}",
        "../conf.py": SETTINGS,
    }
    for name, text in pages.items():
        if not (folder / "book" / name).exists():
            (folder / "book" / name).write_text(text)
    title = nbformat.v4.new_markdown_cell("# One", id="title")
    python = {"language_info": {"name": "python"}}
    notebook = nbformat.v4.new_notebook(cells=[title, *cells], metadata=python)
    nbformat.write(notebook, folder / "book" / "chapter.ipynb")
    for name in ["sphinx.cmd.build", *EXTENSIONS]:
        importlib.import_module(name)  # here, once
    sphinx = functools.partial(module, "sphinx", folders=[ROOT / "tools"])
    return aside(sphinx, "-qW", "--keep-going", ".", "_build/html", cwd=folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """{id: cell} of the edition of a chapter with all samples."""
    folder, markdown = tmp_path_factory.mktemp("small"), nbformat.v4.new_markdown_cell
    new = [markdown(source, id=f"c-{i}") for i, (source, _) in enumerate(SAMPLES.values())]
    code = nbformat.v4.new_code_cell("1 + 1", id="code")
    done = build(folder, *new[:-1], code, new[-1])
    assert done.returncode == 0, done.stderr
    edition = nbformat.read(folder / "_build/html/downloads/colab/chapter.ipynb", 4)
    return {cell.id: cell for cell in edition.cells}


@pytest.mark.parametrize("i, what", list(enumerate(SAMPLES)))
def test_plain_markdown(i, what, small):
    ours = [cell.source for name, cell in small.items() if re.fullmatch(rf"c-{i}(-\d+)?", name)]
    assert "\n\n".join(ours) == SAMPLES[what][1]


def test_the_samples_have_all_that_is_enabled(small):
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert set(config["parse"]["myst_enable_extensions"]) <= set(SAMPLES)
    assert small["title"].source == "# 1. One"
    assert small["code"].metadata == {
        "solution": "ex-1",
        "cellView": "form",
        "jupyter": {"source_hidden": True},
    }
    assert small["references"].source.startswith("## References\n\n- ")


def test_what_has_no_markdown_fails_the_build(tmp_path):
    done = build(tmp_path, nbformat.v4.new_markdown_cell("```{eval-rst}\n| a\n| b\n```"))
    assert done.returncode and "no Markdown for <line_block>" in done.stderr
    assert "chapter.ipynb" in done.stderr, "and says where"


def test_a_number_that_changes_changes_on_every_page(tmp_path):
    """In an incremental build too, where only the chapter that was edited is read again."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "other.md").write_text(
        "# Other\n\nBy {eq}`eq-a`.\n\n```{bibliography}\n```"
    )
    markdown = nbformat.v4.new_markdown_cell
    for cells, number in ((["$$x$$ (eq-a)"], "(1.1)"), (["$$y$$ (eq-b)", "$$x$$ (eq-a)"], "(1.2)")):
        done = build(tmp_path, *map(markdown, cells))
        assert done.returncode == 0, done.stderr
        page = BeautifulSoup((tmp_path / "_build/html/book/other.html").read_text(), "html.parser")
        assert page.select_one("article a.reference.internal").text == number


# -- it runs
# ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Of one kernel in an empty folder, with only Colab's packages: one chapter to its end, then of
    each other one set-up and imports, the names of those before forgotten. {chapter: its cells},
    with what they printed; what the set-up installed; what is left in the folder.
    """
    folder = tmp_path_factory.mktemp("bare")
    wheel, python = bare.wheels(folder), bare.make(folder / "env")
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    before = {path.name for path in site.iterdir()}
    absent = (
        "import importlib.util as u; print([m for m in ('fe', 'ot', 'nbval', 'jupyter_book', "
        "'pytest', 'pandas') if u.find_spec(m)])"
    )
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    options = dict(capture_output=True, text=True, cwd=folder, env=clean)
    assert subprocess.run([python, "-c", absent], **options).stdout.strip() == "[]"

    chapters, new = {}, nbformat.v4.new_code_cell
    where = "import fe, ot, torch\nprint(fe.__file__, ot.__file__, torch.__file__)"
    for name in (WHOLE, *(name for name in CHAPTERS if name != WHOLE)):
        notebook = nbformat.read(ROOT / "colab" / f"{name}.ipynb", 4)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        code = code if name == WHOLE else code[:2]
        chapters[name] = [*code, new(where), new("%reset -f")]
    together = nbformat.v4.new_notebook(cells=[c for cells in chapters.values() for c in cells])
    for cell in together.cells:  # an error is for the test of its chapter
        cell.metadata["tags"] = ["raises-exception"]
    work = bare.run(together, python, folder / "run", wheel, PIP_NO_INDEX="1")
    installed = {path.name for path in site.iterdir()} - before
    return chapters, site, installed, list(work.iterdir())


@pytest.mark.long
@pytest.mark.parametrize("name", [WHOLE, *(name for name in CHAPTERS if name != WHOLE)])
def test_it_runs_alone_in_colabs_environment(name, runs):
    """Set-up, which installs `fe` and POT, and imports; one chapter to its end. What cells print is
    what the book shows.
    """
    chapters, site, installed, left = runs
    cells = chapters[name]
    errors = [o for cell in cells for o in cell.outputs if o.output_type == "error"]
    assert not errors, "\n".join(errors[0].traceback)
    assert bare.printed(cells[-2].outputs).count(str(site)) == 3
    assert bare.differences(nbformat.v4.new_notebook(cells=cells), name) == []
    wanted = {"fe", "free_energy_book", "ot", "pot", "results"}
    assert {re.split(r"[-.]", entry)[0].lower() for entry in installed} <= wanted, installed
    assert left == [], "a chapter leaves files behind"
