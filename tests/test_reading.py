"""The reading aids: each name in the equation index exists, symbols lead to their entry, no link to
a file that is not there.
"""

import ast
import functools
import json
import pkgutil
import re
import sys
from pathlib import Path

import jinja2
import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from sphinx_design.dropdown import dropdown_main

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build" / "html"
sys.path.insert(0, str(ROOT / "tools"))

import reading  # noqa: E402

CHAPTERS = sorted(path.stem for path in (ROOT / "book").glob("[0-9][0-9]-*.ipynb"))
built = pytest.mark.skipif(
    not HTML.exists(), reason=f"no built book in {HTML}: run `python3 run.py book`"
)


def source(name):
    notebook = json.loads((ROOT / "book" / f"{name}.ipynb").read_text())
    return "\n\n".join(
        "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"
    )


@functools.cache
def page(name):
    return BeautifulSoup((HTML / "book" / f"{name}.html").read_text(), "html.parser")


# --- the equation index


def index_rows():
    """The cells of each row of the index: paper, what it is, in the book, in fe, test."""
    lines = (ROOT / "book" / "equations.md").read_text().splitlines()
    rows = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
        if line.startswith("|")
    ]
    return [row for row in rows if row[0] != "paper" and set(row[0]) != {"-"}]


def test_every_number_of_the_paper_has_a_row():
    papers = [row[0] for row in index_rows()]
    assert [p for p in papers if p.startswith("(")] == [f"({n})" for n in range(1, 39)]
    remarks = [int(p.split()[1]) for p in papers if re.match("Remark|Lemma", p)]
    assert remarks == list(range(1, 13))
    assert [p for p in papers if p.startswith("App")] == [f"App. {letter}" for letter in "ABCDEFG"]


def test_a_row_leads_into_the_book_or_says_that_it_does_not():
    for row in index_rows():
        assert len(row) == 5, row
        assert re.search(r"\{(eq|prf:ref|doc)\}", row[2]) or row[2].startswith("not treated"), row


def test_the_labels_of_the_index_exist_once():
    text = "\n".join(source(name) for name in CHAPTERS)
    labels = re.findall(r"\$\$ \((eq-[\w-]+)\)", text) + re.findall(
        r"\{prf:\w+\}[^\n]*\n:label: (\S+)", text
    )
    wanted = {
        label
        for row in index_rows()
        for label in re.findall(r"\{(?:eq|prf:ref)\}`([^`]+)`", row[2])
    }
    assert len(wanted) > 40 and {label for label in wanted if labels.count(label) != 1} == set()


def test_the_functions_of_the_index_exist():
    names = {
        name
        for row in index_rows()
        for name in re.findall(r"\{py:(?:obj|mod)\}`~?([^`]+)`", row[3])
    }
    assert len(names) > 20 and all(map(pkgutil.resolve_name, names))  # or it is an error


def test_the_tests_of_the_index_exist():
    defined = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        defined |= {
            n.name for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef)
        }
    named = {name for row in index_rows() for name in re.findall(r"`(test_\w+)`", row[4])}
    assert len(named) > 20 and named - defined == set()
    for row in index_rows():
        assert re.search(r"`test_|cell|^–$", row[4]), row


@built
def test_the_index_shows_numbers_and_links_to_the_library():
    table = page("equations")
    cells = [row.find_all("td") for row in table.select("tbody tr")]
    numbered = [c for c in cells if c[2].find("a")]
    assert len(numbered) > 45
    assert not re.search(r"\?\?|eq-ch|\[\]", table.get_text())
    linked = [
        c for c in cells if re.search(r"\w", c[3].get_text()) and "chapter 4" not in c[3].get_text()
    ]
    assert (
        len(linked) > 45
        and [c[0].get_text() for c in linked if not c[3].select('a[href^="api/"]')] == []
    )


# --- the glossary


def glossary():
    text = (ROOT / "book" / "glossary.md").read_text()
    return re.findall(
        r"^(\S[^\n]*)\n  (\S[^\n]*)$", text.split("```{glossary}")[1].split("```")[0], re.MULTILINE
    )


def test_the_glossary_is_in_order_and_plain():
    entries = glossary()
    names = [name for name, _ in entries]
    assert (
        len(names) >= 40 and names == sorted(names, key=str.lower) and len(set(names)) == len(names)
    )
    for name, words in entries:
        assert re.search(r"\{doc\}`[Cc]hapter \d+ <(\d\d-[\w-]+)>`", words), f"{name}: no chapter"
    for number, file in re.findall(
        r"hapter (\d+) <(\d\d-[\w-]+)>", " ".join(words for _, words in entries)
    ):
        assert file in CHAPTERS and int(file[:2]) == int(number)


def test_a_term_is_used_in_the_chapter_that_introduces_it():
    for name, words in glossary():
        chapters = re.findall(r"<(\d\d-[\w-]+)>", words)
        stem = (
            re.sub(r"[’'].*|[^a-z].*", "", name.lower())
            if name != "Blahut–Arimoto algorithm"
            else "blahut"
        )
        assert any(stem[:8] in source(chapter).lower() for chapter in chapters), (
            f"{name!r} is not a word of {chapters}"
        )


@built
def test_terms_link_to_their_entries():
    soup = page("glossary")
    links = soup.select('a[href^="#term-"]')
    assert len(links) >= 5 and all(soup.find(id=a["href"][1:]) for a in links)


# --- symbols


@pytest.mark.parametrize(
    "tex, same",
    [
        (r"b_{q}", r"b_q"),
        (r"F_{\lambda\gamma}", r"F_{\lambda \gamma}"),
        (r"e(z \mid x)", "e(z|x)"),
        (r"(\lambda,\,\gamma)", r"(\lambda, \gamma)"),
        (r"{R}", "R"),
    ],
)
def test_spellings_of_one_symbol(tex, same):
    assert reading.tidy(tex) == reading.tidy(same)


@pytest.mark.parametrize(
    "one, other",
    [
        ("C", "c"),
        ("C_0", "C"),
        (r"F_{\lambda\gamma}", r"F_{\gamma\lambda}"),
        (r"\theta_q", r"\theta"),
        ("H(x)", "H"),
    ],
)
def test_symbols_that_differ_stay_apart(one, other):
    assert reading.tidy(one) != reading.tidy(other)


def test_symbols_are_spoken():
    assert (
        reading.spoken(r"F_{\lambda\gamma}") == "F lambda gamma, symbol"
        and reading.spoken("C_0") == "C 0, symbol"
    )


def test_chapters_of_a_row():
    assert (
        reading.numbers("1–3, 5") == {1, 2, 3, 5}
        and reading.numbers("9") == {9}
        and reading.numbers("–") == set()
    )


def document(*children):
    result = nodes.document(None, None)
    result += nodes.section("", *children)
    return result


def test_only_running_text_is_linked():
    def math():
        return nodes.math("R", "R")

    inside = [
        nodes.paragraph("", "", math()),
        nodes.title("", "", math()),
        nodes.paragraph("", "", nodes.reference("", "", math())),
        nodes.admonition("", nodes.paragraph("", "", math()), classes=["tip"]),
        nodes.caption("", "", math()),
        dropdown_main("", nodes.paragraph("", "", math())),
        nodes.bullet_list("", nodes.list_item("", nodes.paragraph("", "", math()))),
    ]
    doctree = document(*inside)
    assert [reading.is_running_text(m) for m in doctree.findall(nodes.math)] == [
        True,
        False,
        False,
        False,
        False,
        False,
        True,
    ]


def test_a_text_on_hover_keeps_the_words_of_a_link_and_not_the_link():
    link = nodes.reference("", "", nodes.inline("", "Theorem 9.1"), refuri="#x")
    paragraph = nodes.paragraph(
        "",
        "",
        nodes.Text("see "),
        link,
        nodes.emphasis("", "", nodes.reference("", "here", refuri="#y")),
    )
    text = reading.without_links(paragraph)
    assert (
        "".join(node.astext() for node in text) == "see Theorem 9.1here"
        and paragraph.children[1] is link
    )
    assert not [node for part in text for node in part.findall(nodes.reference)]


@built
@pytest.mark.parametrize("name", CHAPTERS)
def test_first_uses_lead_to_their_entry(name):
    entries = {row["id"]: row for row in page("notation").select("tr[id]")}
    article = page(name).select_one("article")
    links = article.select("a.symbol-link")
    assert len(links) >= 6
    anchors = [link["href"].split("#")[1] for link in links]
    assert len(set(anchors)) == len(anchors) and set(anchors) <= set(entries)
    for link in links:
        row = entries[link["href"].split("#")[1]].find_all("td")
        spellings = {reading.tidy(m.get_text()[2:-2]) for m in row[0].select(".math")}
        assert reading.tidy(link.get_text()[2:-2]) in spellings
        assert int(name[:2]) in reading.numbers(row[2].get_text())
        text = article.find(id=link["aria-describedby"])
        assert (
            link["aria-label"]
            and text["role"] == "tooltip"
            and text.get_text().strip() == row[1].get_text().strip()
        )
        assert not link.find_parent(
            ["h1", "h2", "h3", "table", "figcaption"]
        ) and not link.find_parent("details")
        assert not any(tidy_of(m) in spellings for m in maths_before(article, link)), (
            f"{link.get_text()} is not its first use"
        )


def tidy_of(math):
    return reading.tidy(math.get_text()[2:-2])


def maths_before(article, link):
    """Inline formulas in plain paragraphs before the link."""
    for math in article.select("p span.math"):
        if math.parent is link:
            return
        if (
            not math.find_parent(["details", "table", "figcaption", "h1", "h2", "h3"])
            and not math.find_parent("a")
            and not math.find_parent(
                class_=["tip", "solution", "symbol-text", "admonition-title", "sidebar-title"]
            )
        ):
            yield math


@built
def test_symbols_have_different_anchors():
    ids = [row["id"] for row in page("notation").select("tr[id]")]
    assert len(ids) > 35 and len(set(ids)) == len(ids)


# --- what a reader takes away


CITATION = {
    "title": "A book",
    "version": "1.2.0",
    "date-released": "2026-11-23",
    "authors": [{"name": "The Authors"}, {"family-names": "Gibbs", "given-names": "J. W."}],
}


TEMPLATES = jinja2.Environment(loader=jinja2.FileSystemLoader(ROOT / "book" / "_templates"))


def cited(**fields):
    """The BibTeX and the words of book/_templates/cite.html, for this chapter of that book."""
    template = TEMPLATES.get_template("cite.html")
    chapter, url = {"number": 5, "title": "Moving & so on"}, "https://e.org/b"
    page = template.render(citation=CITATION | fields, chapter=chapter, theme_repository_url=url)
    soup = BeautifulSoup(page, "html.parser")
    return soup.pre.text, soup.p.text


def test_citations():
    bibtex, words = cited()
    assert (
        bibtex.count("{") == bibtex.count("}")
        and bibtex.startswith("@incollection{free-energy-book-5,\n")
        and bibtex.endswith("\n}")
    )
    for field in (
        "author    = {{The Authors} and Gibbs, J. W.}",
        "title     = {Moving & so on}",
        "booktitle = {A book}",
        "chapter   = {5}",
        "year      = {2026}",
        "url       = {https://e.org/b}",
    ):
        assert field in bibtex
    assert "doi" not in bibtex
    assert words == (
        "The Authors, J. W. Gibbs (2026). Moving & so on. Chapter 5 of “A book”, version 1.2.0. "
        "https://e.org/b"
    )
    bibtex, words = cited(doi="10.1/x")
    assert "doi       = {10.1/x}" in bibtex and words.endswith(" https://doi.org/10.1/x")


def test_pdfs_are_offered_where_they_are_printed_next():
    template = TEMPLATES.get_template("files.html")
    files = lambda **said: template.make_module({"pagename": "book/05-x"} | said).files
    assert [name for name, *_ in files()] == ["Notebook", "Notebook for Colab", "Markdown"]
    (chapter, book) = files(pdf=True)[3:]
    assert chapter[2] == "downloads/pdf/05-x.pdf" and book[2] == "downloads/pdf/book.pdf"


@built
@pytest.mark.parametrize("name", CHAPTERS)
def test_the_end_of_a_chapter(name):
    soup = page(name)
    url = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    box = soup.select_one("details.cite")
    assert (
        not box.has_attr("open")
        and url in box.get_text()
        and "@incollection" in box.select_one("div.highlight pre").get_text()
    )
    assert f"Chapter {int(name[:2])} of" in box.get_text()
    links = soup.select("p.take-away a")
    report = soup.select_one(".page-footer a")["href"]
    assert report.startswith(f"{url}/issues/new?title=Chapter%20{int(name[:2])}%2C%20")
    menu = soup.select(".dropdown-download-buttons a")
    assert menu and {a["href"] for a in menu} == {a["href"] for a in links}
    for link in [*links, *menu]:
        assert (HTML / "book" / link["href"]).resolve().is_file(), f"dead link {link['href']}"
    assert links[0]["href"].endswith(f"_sources/book/{name}.ipynb")
    assert json.loads((HTML / "_sources" / "book" / f"{name}.ipynb").read_text())["cells"], (
        "the notebook as it is in the book"
    )


# --- every page as Markdown


def as_markdown(name):
    return (HTML / "book" / f"{name}.md").read_text()


@built
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_as_markdown_is_whole(name):
    """Its code, what it prints, its figures in words; the set-up and MyST's directives are not."""
    text, cells = as_markdown(name), json.loads((ROOT / "book" / f"{name}.ipynb").read_text())
    for cell in (c for c in cells["cells"] if c["cell_type"] == "code"):
        if "setup" in cell["metadata"].get("tags", ()):
            assert "".join(cell["source"]) not in text
            continue
        assert "".join(cell["source"]) in text
        for output in cell["outputs"]:
            assert "".join(output.get("text", "")).rstrip() in text
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        assert alt in text
    prose = re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"\{(eq|prf:\w+|numref|cite\w*|math|exercise)\}", prose)
    headings = [h.get_text().strip("#") for h in page(name).select("article h2")]
    assert len(headings) == len(re.findall(r"^## (?!References)", prose, re.MULTILINE))
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)#]+)", re.sub(r"\$[^$]+\$", "", prose)):
        assert (HTML / "book" / link).is_file(), f"dead link {link}"


@built
def test_pages_of_the_library_as_markdown():
    text = as_markdown("api/path")
    signature = page("api/path").select_one("dt.sig").get_text().rstrip("#\n")
    assert " ".join(signature.split()) in text and text.startswith("# `fe.path`")
    assert "Raises" in text and "****" not in text


@built
def test_the_lists_for_language_models_hold_every_page():
    """In the order of the contents; what they lead to is there."""
    listed = re.findall(r"\]\((.*?)\)", (HTML / "llms.txt").read_text())
    pages = [p.relative_to(HTML).with_suffix(".md") for p in (HTML / "book").rglob("*.html")]
    assert sorted(map(str, pages)) == sorted(listed) and listed.index("book/index.md") == 0
    whole, place = (HTML / "llms-full.txt").read_text(), 0
    assert "<input" not in whole
    for name in listed:
        place = whole.index((HTML / name).read_text(), place)
    for path in (HTML / "book").rglob("*.html"):
        link = BeautifulSoup(path.read_text(), "html.parser").select_one(
            "link[type='text/markdown']"
        )
        assert (path.parent / link["href"]).resolve() == path.with_suffix(".md"), path.name


@built
def test_the_search_works_offline_and_knows_the_glossary():
    index = (HTML / "searchindex.js").read_text()
    assert (
        index.startswith("Search.setIndex(") and '"book/glossary"' in index and "hysteresi" in index
    )
    html = (HTML / "search.html").read_text()
    assert "searchindex.js" in html and not re.search(r'<script[^>]+src="(https?:)?//', html)


@built
def test_one_header_so_that_its_buttons_work():
    """A hidden second one would catch the script that opens the contents on a phone."""
    for name in [*CHAPTERS, "index", "glossary"]:
        assert (
            len(page(name).select(".primary-toggle")) == 1
            and len(page(name).select(".secondary-toggle")) <= 1
        )
