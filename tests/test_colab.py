"""The Colab edition: nothing of MyST left, the book's own numbers, in step with book/, and it
runs
where only Colab's packages are.
"""

import html
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
from dataclasses import asdict

import nbformat
import pytest
from bs4 import BeautifulSoup
from filelock import FileLock

import bare

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import book_numbers
import myst
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
    """(numbers, folder of the pages) of the built book."""
    numbers = book_numbers.stored()
    if numbers is None:
        (pytest.fail if os.environ.get("FE_TESTING") else pytest.skip)(
            "no build of the sources as they are: run `python3 run.py book`"
        )
    return numbers, ROOT / "_build" / "html"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The first worker makes it, all share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "colab-wheels"
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            folder.mkdir(exist_ok=True)
            bare.wheels(folder)
            (folder / "done").touch()
    return next(folder.glob("free_energy_book-*.whl"))


# -- what is stored
# ------------------------------------------------------------------------------------------------


def test_the_edition_is_in_step_with_the_book(built):
    assert colab.out_of_step(built[0]) == [], "run python tools/colab.py"


@pytest.mark.long
def test_a_build_leaves_the_numbers_that_a_reading_of_its_own_finds(built, monkeypatch):
    monkeypatch.setattr(book_numbers, "stored", lambda root: None)
    monkeypatch.setattr(
        book_numbers,
        "store",
        lambda env, root: book_numbers._collect(
            env, {page: book_numbers._references(env, page) for page in book_numbers._pages(env)}
        ),
    )
    assert json.loads(json.dumps(asdict(book_numbers.read()))) == asdict(built[0])


def test_drift_is_found(built, tmp_path):
    """One word changed in a chapter, one file that belongs to no chapter: both are named."""
    (tmp_path / "book").mkdir()
    shutil.copytree(ROOT / "colab", tmp_path / "colab")
    shutil.copy(ROOT / "_config.yml", tmp_path)
    for name in CHAPTERS:
        text = (ROOT / "book" / f"{name}.ipynb").read_text()
        (tmp_path / "book" / f"{name}.ipynb").write_text(
            text.replace("nats", "bits", 1) if name == CHAPTERS[0] else text
        )
    (tmp_path / "colab" / "99-gone.ipynb").write_text("{}")
    assert colab.out_of_step(built[0], tmp_path) == [f"{CHAPTERS[0]}.ipynb", "99-gone.ipynb"]


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


def prose(text):
    """A cell without code and mathematics."""
    text = re.sub(r"^(\s*(?:> )?)(`{3,}).*?^\1\2\s*$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(`+)(?!`).+?\1|\$\$.+?\$\$|\$[^$]+\$", "", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", CHAPTERS)
def test_no_myst_is_left(name):
    for _, source in cells("colab", name, "markdown"):
        rest = prose(source)
        for what, pattern in {
            "a role": r"\{[\w:.+-]+\}",
            "a colon fence": r"^\s*>?\s*:{3}",
            "an option": r"^\s*>?\s*:[\w-]+:",
            "a target": r"^\s*\([\w.:-]+\)=",
            "a comment": r"^\s*(%|\+\+\+)",
            "a label behind mathematics": r"\(eq-[\w-]+\)",
            "a link without words": r"\[\]\(",
            "a key": r"\b(eq|fig|ex)-(ch)?\d+-",
            "a relative link": r"\]\((?!https://)",
            "a substitution": r"\{\{",
            "a fence": r"^\s*>?\s*[`~]{3}",
        }.items():
            found = re.search(pattern, rest, re.MULTILINE)
            assert not found, (
                f"{what} is left: {rest[max(0, found.start() - 40) : found.end() + 60]!r}"
            )
        assert not re.search(r"```\{|~~~", source)
        for quoted in re.findall(r"^> .*", source, re.MULTILINE):
            assert quoted.count("$$") % 2 == 0, (
                f"mathematics over several lines in a quotation: {quoted}"
            )
        assert source.count("<details>") == source.count("</details>") == source.count("<summary>")


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_word_of_the_chapter_is_there(name):
    """Nothing of the text is lost: each longer word of the chapter, but for labels and the names
    of
    directives, is in the edition.
    """
    words = lambda text: set(
        re.findall(
            r"[a-zäöüß]{5,}",
            re.sub(
                r"\{[\w:-]+\}(`[^`]*`)?|:\w+:.*|\]\([^)]*\)|\((eq|fig)-[\w-]+\)|^\([\w-]+\)=|\{(solution|prf)\S+.*",
                " ",
                text,
                flags=re.MULTILINE,
            ).lower(),
        )
    )
    ours = words("\n".join(s for _, s in cells("colab", name, "markdown")))
    theirs = words("\n".join(s for _, s in cells("book", name, "markdown")))
    assert theirs - ours <= {"label", "class", "dropdown"}, theirs - ours


# -- the book's numbers
# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHAPTERS)
def test_numbers_are_those_of_the_built_page(name, built):
    """In reading order: numbers of equations, titles of theorems and exercises, captions,
    citations, links to chapters.
    """
    page = BeautifulSoup(
        (built[1] / "book" / f"{name}.html").read_text(), "html.parser"
    ).select_one("article")
    for junk in page.select("a.headerlink"):
        junk.decompose()
    squeeze = lambda s: re.sub(r"\s+", "", s)
    ours = "\n".join(s for _, s in cells("colab", name, "markdown"))
    assert re.findall(r"\\tag\{([\d.]+)\}", ours) == [
        e.text.strip("()") for e in page.select("span.eqno")
    ]
    theirs = [
        squeeze(e.select_one(".caption-number").text)
        for e in page.select(".proof > .admonition-title, .exercise > .admonition-title")
        if e.select_one(".caption-number")
    ]
    titles = re.findall(
        r"^(?:> )?\*\*((?:Theorem|Lemma|Definition|Proposition|Corollary|Remark|Example|Algorithm|Exercise) [\d.]+)\*\*",  # noqa: E501
        ours,
        re.MULTILINE,
    )
    assert sorted(map(squeeze, titles)) == sorted(theirs) and titles
    captions = re.findall(r"^\*\*(Fig\. [\d.]+)\*\* ", ours, re.MULTILINE)
    assert (
        list(map(squeeze, captions))
        == [squeeze(e.text) for e in page.select("figcaption .caption-number")]
        and captions
    )
    h1 = page.select_one("h1")
    assert squeeze(ours.split("\n")[0].removeprefix("# ")) == squeeze(h1.text)
    # every reference reads as in the book
    references = [
        squeeze(a.text)
        for a in page.select("a.reference.internal")
        if re.fullmatch(
            r"\([\d.]+\)|(Theorem|Lemma|Definition|Proposition|Remark|Fig\.|Exercise) ?[\d.]+",
            a.text.strip(),
        )
    ]
    own = re.sub(
        r"\[([^\[\]]*)\]\(https://[^)]*\)", r"\1", "\n".join(prose(s) for s in ours.split("\n\n"))
    )
    flat = squeeze(own)
    for text in set(references):
        assert flat.count(text) >= references.count(text), (
            f"{text}: {flat.count(text)} here, {references.count(text)} in the book"
        )
    cited = {" ".join(e.text.split()) for e in page.select(".bibtex-citation")}
    assert all(c in " ".join(own.split()) for c in cited), cited
    entries = re.findall(r"^- (.*)$", ours.split("## References")[-1], re.MULTILINE)
    assert len(entries) >= len({a["href"] for a in page.select(".bibtex-citation a")}) > 0


def test_links_lead_to_the_edition_and_to_pages_that_exist():
    link = colab.Addresses()
    for name in CHAPTERS:
        for _, source in cells("colab", name, "markdown"):
            for address in re.findall(
                rf"\]\(({re.escape(link.repository)}/[^)]*|https://colab[^)]*)\)", source
            ):
                path = re.sub(r".*/(blob|raw)/[^/]+/", "", address)
                assert (ROOT / path).exists(), address
    assert link("book/05-moving-on-the-surface").endswith("/colab/05-moving-on-the-surface.ipynb")


def test_launch_buttons_open_the_edition(built):
    for name in CHAPTERS:
        page = html.unescape((built[1] / "book" / f"{name}.html").read_text())
        links = re.findall(r'href="(https://(?:colab|mybinder)[^"]*ipynb)"', page)
        assert len(links) == 2 and all(url.endswith(f"/colab/{name}.ipynb") for url in links), links


def test_binder_gets_this_checkout_and_a_python_that_it_accepts():
    assert [
        line
        for line in (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
        if not line.startswith("#")
    ] == ["-e .[notebooks]"]
    python = (ROOT / ".binder" / "runtime.txt").read_text().strip().removeprefix("python-")
    needed = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert tuple(map(int, python.split("."))) >= tuple(map(int, needed.split(".")))


# -- MyST in small
# ------------------------------------------------------------------------------------------------

NUMBERS = book_numbers.Numbers(
    titles={"book/01-a": "One", "book/02-b": "Two", "book/notation": "Notation"},
    chapters={"book/01-a": "1"},
    labels={"eq-a": "(1.1)", "t-a": "Theorem 1.2", "ex-1": "Exercise 1.1", "fig-a": "Fig. 1.3"},
    roles={
        "eq eq-a": ("(1.1)", "book/01-a"),
        "prf:ref t-a": ("Theorem 1.2", "book/01-a"),
        "cite:p b90": ("[B, 1990]", "book/references"),
        "ref here": ("A section", "book/01-a"),
    },
    references={"b90": "B. *Title*. 1990."},
)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("By {eq}`eq-a` and {prf:ref}`t-a`, {cite}`b90`.", "By (1.1) and Theorem 1.2, [B, 1990]."),
        ("{ref}`below <here>`, {ref}`here`", "below, A section"),
        ("$$\nx = 1\n$$ (eq-a)", "$$x = 1 \\tag{1.1}$$"),
        (
            "$$\n\\begin{aligned}\na\\\\\nb\n\\end{aligned}\n$$ (eq-a)",
            "$$\n\\begin{aligned}\na\\\\\nb\n\\end{aligned} \\tag{1.1}\n$$",
        ),
        ("(here)=\n## A section", "## A section"),
        (
            "[](02-b.ipynb), [the words](notation.md#units)",
            "[Two](at:book/02-b), [the words](at:book/notation)",
        ),
        (
            "```{prf:theorem} Name\n:label: t-a\n\nWords {eq}`eq-a`.\n\n$$\na\n= b\n$$\n```",
            "> **Theorem 1.2** (Name)\n>\n> Words (1.1).\n>\n> $$a = b$$",
        ),
        (
            ":::{dropdown} Proof of `f`\nText\n:::",
            "<details>\n<summary><b>Proof of <code>f</code></b></summary>\n\nText\n\n</details>",
        ),
        (
            "````{note}\n```python\n{eq}`x`\n```\n````",
            "> **Note**\n>\n> ```python\n> {eq}`x`\n> ```",
        ),
        (
            "`{eq}` in code and ``{cite}`x` ``, $\\{a\\}`$",
            "`{eq}` in code and ``{cite}`x` ``, $\\{a\\}`$",
        ),
        ("~~~python\nf()\n~~~", "```python\nf()\n```"),
        (":::{margin}\nAn aside\n:::", "> **Aside**\n>\n> An aside"),
        (
            ":::{figure} a.png\n:name: fig-a\n:alt: What\nWords\n:::",
            "![What](at:book/a.png)\n\n*Fig. 1.3: Words*",
        ),
        ("::::{grid} 2\n:::{grid-item-card} Title\nBody\n:::\n::::", "**Title**\n\nBody"),
        (
            "```{exercise} By hand\n:label: ex-1\nDo.\n```\n```{solution-start} ex-1\n:class: "
            "dropdown\n```\nSo.\n```{solution-end}\n```\nAfter.",
            "**Exercise 1.1** (By hand)\n\nDo.\n\n<details>\n<summary><b>Solution to Exercise "
            "1.1</b></summary>\n\nSo.\n\n</details>\n\nAfter.",
        ),
    ],
)
def test_plain(text, expected):
    assert (
        myst.plain(text, NUMBERS, "book/01-a", link=lambda page: f"at:{page}").strip() == expected
    )


def test_a_solution_goes_on_over_cells():
    first, second = (
        "```{solution-start} ex-1\n:class: dropdown\n```\n",
        "Read it.\n```{solution-end}\n```\nOut.",
    )
    assert myst.plain(first, NUMBERS, "book/01-a") == "" and myst.solution_after(first) == "ex-1"
    text = myst.plain(second, NUMBERS, "book/01-a", inside="ex-1")
    assert (
        "Solution to Exercise 1.1, continued" in text
        and text.strip().endswith("</details>\n\nOut.")
        and myst.solution_after(second, "ex-1") is None
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("{download}`x`", "role {download}"),
        ("```{plantuml} x\n```", "directive {plantuml}"),
        ("{eq}`nowhere`", "'nowhere'"),
        ("[](gone.ipynb)", "'book/gone'"),
        (":::{note}\nopen", "not closed"),
        ("a {{ substitution }}", "substitution"),
        ("term\n: definition", "definition list"),
        ("$$\nx\n", "not closed"),
        ("```{prf:theorem}\n:label: new\n```", "'new' has no number"),
    ],
)
def test_what_is_not_understood_is_named_with_its_cell(text, message):
    with pytest.raises(myst.MystError, match=re.escape(message)) as error:
        myst.plain(text, NUMBERS, "book/01-a", where="01-a.ipynb, cell 7")
    assert str(error.value).startswith("01-a.ipynb, cell 7: ")


# -- it runs
# ------------------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", [WHOLE, *(name for name in CHAPTERS if name != WHOLE)])
def test_it_runs_alone_in_colabs_environment(name, tmp_path, wheel):
    """In an empty folder: set-up, which installs `fe` and POT, and imports; one chapter to its
    end,
    and its cells print what the book shows.
    """
    python = bare.make(tmp_path / "env")
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    before = {path.name for path in site.iterdir()}
    absent = (
        "import importlib.util as u; print([m for m in ('fe', 'ot', 'nbval', 'jupyter_book', "
        "'pytest', 'pandas') if u.find_spec(m)])"
    )
    clean = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    assert (
        subprocess.run(
            [python, "-c", absent], capture_output=True, text=True, cwd=tmp_path, env=clean
        ).stdout.strip()
        == "[]"
    )

    alone = nbformat.read(ROOT / "colab" / f"{name}.ipynb", 4)
    if name != WHOLE:
        alone.cells = [cell for cell in alone.cells if cell.cell_type == "code"][:2]
    alone.cells.append(
        nbformat.v4.new_code_cell(
            "import fe, ot, torch\nprint(fe.__file__, ot.__file__, torch.__file__)"
        )
    )
    bare.run(alone, python, tmp_path / "run", wheel, PIP_NO_INDEX="1")

    assert bare.printed(alone.cells[-1].outputs).count(str(site)) == 3
    new = {path.name for path in site.iterdir()} - before
    assert {re.split(r"[-.]", entry)[0].lower() for entry in new} <= {
        "fe",
        "free_energy_book",
        "ot",
        "pot",
        "results",
    }, new
    assert list((tmp_path / "run" / "work").iterdir()) == [], "a chapter leaves files behind"
    assert bare.differences(alone, name) == []
