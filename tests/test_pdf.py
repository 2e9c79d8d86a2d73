"""The PDF edition: complete, linked inside, nothing cut off (tools/pdf.py stops where something is
wider than the paper).

The files of `_build/pdf` are read if they are newer than the built pages and the tool; else they
are printed anew.
"""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import pdf  # noqa: E402

REQUIRED = os.environ.get("FE_REQUIRE_BROWSER") == "1"
if not REQUIRED and not Path(pdf.CHROMIUM).exists():
    pytest.skip(f"no browser at {pdf.CHROMIUM}: apt-get install chromium", allow_module_level=True)
if not pdf.HTML.exists():
    pytest.skip(f"no built book in {pdf.HTML}: run `python3 run.py book`", allow_module_level=True)

import pypdf  # noqa: E402
from bs4 import BeautifulSoup  # noqa: E402
from pypdf.generic._font import Font  # noqa: E402

CHAPTERS = [page for _, pages in pdf.order() for page in pages if pdf.CHAPTER.match(page)]


@pytest.fixture(scope="module")
def folder():
    sources = [
        *(pdf.HTML / "book").rglob("*.html"),
        ROOT / "tools" / "pdf.py",
        ROOT / "tools" / "tags.py",
        ROOT / "book" / "_static" / "print.css",
        ROOT / "book" / "_static" / "pdf.js",
        ROOT / "book" / "_templates" / "cover.html",
    ]
    made = pdf.OUT / "book.pdf"
    last = min((path.stat().st_mtime for path in pdf.OUT.glob("*.pdf")), default=0)
    if not made.exists() or last < max(path.stat().st_mtime for path in sources):
        subprocess.run([sys.executable, ROOT / "tools" / "pdf.py"], check=True)
    return pdf.OUT


@pytest.fixture(scope="module")
def book(folder):
    return pypdf.PdfReader(folder / "book.pdf")


GLYPHS = re.compile(rb"/(\w+) [\d.]+ Tf|<([0-9A-F]+)> Tj|(BT)")  # a font, its letters, a new piece


@functools.cache
def letters(font):
    """What the codes of a font stand for, and how they are written."""
    two_bytes = font.get_object()["/Subtype"] == "/Type0"
    known = Font.from_font_resource(font.get_object()).character_map
    return known, "utf-16-be" if two_bytes else "latin-1"


def text_of(page):
    """The words of a page. pypdf's own `extract_text`, which understands all that a PDF may do and
    not only what Chromium does, gives the same letters in twenty times as long.
    """
    fonts, found = page["/Resources"].get("/Font", {}), []
    for name, codes, _ in GLYPHS.findall(page.get_contents().get_data()):
        if name:
            known, coding = letters(fonts.raw_get(f"/{name.decode()}"))
        elif codes:
            found += [known.get(c, "") for c in bytes.fromhex(codes.decode()).decode(coding)]
        else:
            found.append("\n")
    return "".join(found)


@pytest.fixture(scope="module")
def texts(book):
    return [text_of(page) for page in book.pages]


def test_the_letters_are_those_that_pypdf_finds(book, texts):
    for n in range(0, len(texts), 41):
        assert squeeze(book.pages[n].extract_text()) == squeeze(texts[n]), n


@pytest.fixture(scope="module")
def front(book):
    """Pages before the first of the book's own, which has the number 1."""
    return book.page_labels.index("1")


@functools.cache
def headings(page):
    """The title and the sections of a page of the web edition, their formulas as TeX."""
    soup = BeautifulSoup((pdf.HTML / f"{page}.html").read_text(), "html.parser")
    for link in soup.select(".headerlink"):
        link.decompose()
    found = soup.select("article section > h1, article section > h2")
    return [" ".join(heading.get_text().split()) for heading in found]


def squeeze(text):
    """Letters and digits alone: extraction puts spaces and breaks where it likes."""
    return re.sub(r"[\W_]+", "", text).lower()


def entries(items):
    for item in items:
        if isinstance(item, list):
            yield from entries(item)
        else:
            yield item


def test_pages(book, folder):
    assert 150 < len(book.pages) < 500
    for chapter in CHAPTERS:
        reader = pypdf.PdfReader(folder / f"{Path(chapter).name}.pdf")
        assert 8 <= len(reader.pages) <= 60, chapter
    for page in book.pages:
        assert abs(page.mediabox.width - 595) < 2 and abs(page.mediabox.height - 842) < 2, "A4"
    assert not any("date" in key.lower() for key in book.metadata), (
        "the same book gives the same file"
    )


def test_every_chapter_and_section_is_in_the_outline(book, texts):
    outline = [
        (item.title, book.get_destination_page_number(item)) for item in entries(book.outline)
    ]
    for chapter in CHAPTERS:
        assert len(headings(chapter)) > 5
        for title in headings(chapter):
            numbers = [number for name, number in outline if name == pdf.plain(title)]
            assert numbers, title
            assert (
                any(squeeze(pdf.plain(title))[:12] in squeeze(texts[n]) for n in numbers)
                or "\\" in title
            ), f"{title} is not on its page"


def test_every_link_inside_leads_to_a_page(book):
    ids = {page.indirect_reference.idnum for page in book.pages}
    inside = [link for page in book.pages for link in pdf.links(page) if "/Dest" in link]
    assert len(inside) > 500
    for link in inside:
        page, how, _, top, _ = link["/Dest"]
        assert page.idnum in ids and how == "/XYZ" and -1 <= float(top) <= 843


def test_other_links_lead_to_addresses_outside(book):
    outside = {
        link["/A"]["/URI"] for page in book.pages for link in pdf.links(page) if "/A" in link
    }
    assert not [
        url for url in outside if not re.match(r"https?://|mailto:", url) or "127.0.0.1" in url
    ]


def test_a_link_to_the_outside_keeps_its_address():
    from pypdf.annotations import Link

    writer = pypdf.PdfWriter()
    writer.add_blank_page(595, 842)
    for url in ("https://example.org/a#b", "http://here/book%2Ftwo%23x"):
        writer.add_annotation(0, Link(rect=(0, 0, 9, 9), url=url))
    pdf.resolve(writer, "http://here", {"book/two#x": (0, 700.0)}, {})
    outside, inside = pdf.links(writer.pages[0])
    assert (
        outside["/A"]["/URI"] == "https://example.org/a#b"
        and inside["/Dest"][3] == 700
        and "/A" not in inside
    )


def test_links_of_a_chapters_file_lead_to_files_beside_it(folder):
    for chapter in CHAPTERS:
        reader = pypdf.PdfReader(folder / f"{Path(chapter).name}.pdf")
        urls = {
            link["/A"]["/URI"] for page in reader.pages for link in pdf.links(page) if "/A" in link
        }
        beside = [url for url in urls if not re.match(r"https?://|mailto:", url)]
        assert beside
        for url in beside:
            name, number = re.fullmatch(r"([\w-]+\.pdf)#page=(\d+)", url).groups()
            assert (folder / name).exists() and 1 <= int(number) <= pages_of(folder / name)


def tags(element):
    """(tag, the words that stand for it) of a structure, in reading order."""
    element = element.get_object() if hasattr(element, "get_object") else element
    if isinstance(element, list):
        for one in element:
            yield from tags(one)
    elif isinstance(element, dict) and "/S" in element:
        yield element["/S"], str(element.get("/Alt", ""))
        yield from tags(element.get("/K", []))


def test_a_chapters_file_is_tagged(folder):
    """Headings, and of every formula and picture what is read in its place."""
    name = CHAPTERS[4]
    root = pypdf.PdfReader(folder / f"{Path(name).name}.pdf").trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"] and root["/Lang"] == "en"
    found = list(tags(root["/StructTreeRoot"]["/K"]))
    page = BeautifulSoup((pdf.HTML / f"{name}.html").read_text(), "html.parser").article
    count = lambda kind: sum(tag == kind for tag, _ in found)
    assert count("/H2") == len(page.select("h2")) and count("/H1") == 1
    plain = lambda text: re.sub(r"^\([\d.]+\)#|\s|\\(begin|end)\{split\}", "", text.strip())
    words = {plain(alt) for tag, alt in found if tag == "/Figure"}
    # a text on hover and a symbol's name are not printed
    printed = [f for f in page.select(".math") if not f.find_parent(class_="symbol-text")]
    formulas = {plain(formula.get_text()).strip("()\\[]") for formula in printed}
    assert formulas <= {word.strip("()\\[]") for word in words}, "each is read as TeX"
    shown = [
        i
        for i in page.select("figure img, .cell_output img")
        if not i.find_parent(class_=["fe-live", "fe-recompute"])  # a frame, a drawing in its place
    ]
    assert shown and {plain(image["alt"]) for image in shown} <= words
    # of a figure that recomputes its panels are read, in the words that its script has for them
    still = page.select_one(".fe-recompute img")["src"]
    script = (pdf.HTML / "_static" / "live" / f"{Path(still).stem}.js").read_text()
    panels = re.findall(r'\{label: "(.+?)"[,}]', script)
    assert len(panels) > 1 and {plain(label) for label in panels} <= words


def test_the_book_is_tagged_as_its_pages_were(book, folder):
    """All pages of the book, each with its title; every piece that a page marks has an element."""
    root = book.trailer["/Root"]["/StructTreeRoot"]
    found = list(tags(root["/K"]))
    count = lambda kind: sum(tag == kind for tag, _ in found)
    names = [page for _, pages in pdf.order() for page in pages]
    assert count("/Part") == len(names) + 1 and count("/H1") >= len(names)
    assert count("/NonStruct") == 0 and count("/Figure") > 5000 and count("/TH") > 100
    keys, own = root["/ParentTree"]["/Nums"][::2], root["/ParentTree"]["/Nums"][1::2]
    assert keys == list(range(len(keys)))
    for page in book.pages[::29]:
        owners = own[page["/StructParents"]].get_object()
        pieces = re.findall(rb"/MCID (\d+)", page.get_contents().get_data())
        assert pieces and all(owners[int(n)].get_object()["/S"] for n in pieces)
        for link in pdf.links(page):
            assert own[link["/StructParent"]].get_object()["/S"] == "/Link"


def pages_of(path, known={}):
    if path not in known:
        known[path] = len(pypdf.PdfReader(path).pages)
    return known[path]


def test_an_equation_reference_leads_to_its_number(book, texts):
    """The first link to eq. (5.3) and where it leads: the page with that number."""
    number = {page.indirect_reference.idnum: n for n, page in enumerate(book.pages)}
    start = next(
        n
        for n, text in enumerate(texts)
        if squeeze(text).startswith(squeeze("5. Moving on the surface"))
    )
    targets = [
        number[link["/Dest"][0].idnum]
        for page in book.pages[start : start + 20]
        for link in pdf.links(page)
        if "/Dest" in link
    ]
    assert any("(5.3)" in texts[n].replace(" ", "") for n in targets if start <= n < start + 20)


def test_text_can_be_found(book, texts, folder):
    everything = squeeze("".join(texts))
    assert all(f"({number})" in "".join(texts).replace(" ", "") for number in ("1.1", "5.3", "9.1"))
    for chapter in CHAPTERS:
        assert squeeze(pdf.plain(headings(chapter)[-1])) in everything, "the last heading"
    assert squeeze("this is its first frame") in everything, "live figures say what they are"
    assert everything.count("beginsolution") >= 20, "solutions are open"


def test_no_raw_markup_and_no_buttons(texts):
    everything = "\n".join(texts)
    assert "??" not in everything
    assert not re.search(r"\{(eq|ref|numref|doc|cite|term|prf:ref)\}|:::|\$\$", everything)
    assert not re.search(
        r"Show code cell|Click to show|Skip to main content|Back to top", everything
    )


def margins(page):
    """What a page has outside of its text: Chromium counts the places of margin boxes from the
    paper's corner, those of the text from the margins'."""
    found = []

    def visit(text, frame, *_):
        if text.strip() and frame[4] == 0:
            found.append(text.strip())

    page.extract_text(visitor_text=visit)
    return found


def test_pages_are_numbered_and_have_a_running_header(book, texts, front):
    assert margins(book.pages[0]) == [] and margins(book.pages[1]) == ["Contents", "ii"]
    for n in range(front, len(texts), 17):
        number = str(n - front + 1)
        assert margins(book.pages[n])[1:] == [number] and book.page_labels[n] == number
    chapter = [text for text in texts if squeeze(text).startswith(squeeze("5. Moving on the surf"))]
    assert len(chapter) >= 8


def test_the_contents_name_the_pages(book, texts, front):
    """Each chapter's line ends with the number of the page that its link leads to."""
    ids = [page.indirect_reference.idnum for page in book.pages]
    contents = "".join(texts[:front])
    leads = {
        ids.index(link["/Dest"][0].idnum) - front + 1
        for page in book.pages[:front]
        for link in pdf.links(page)
    }
    for chapter in CHAPTERS:
        title = re.escape(pdf.plain(headings(chapter)[0]))
        number = int(re.search(rf"{title}\s*(\d+)", contents)[1])
        assert squeeze(headings(chapter)[0]) in squeeze(texts[front + number - 1])
        assert number in leads


@pytest.mark.parametrize(
    "title, words",
    [
        (r"5.6. Solving \(A\theta_q = b_q\)", "5.6. Solving Aθ_q = b_q"),
        ("1.1. The question", "1.1. The question"),
        (r"\(\Gamma\) and \(\lambda\)", "Γ and λ"),
    ],
)
def test_headings_of_the_outline_are_plain(title, words):
    assert pdf.plain(title) == words


def test_what_is_wider_than_the_paper_stops_it(browser):
    printer = pdf.Printer(browser, "")
    printer.page.goto("about:blank")  # the script comes with every page
    printer.page.set_content("<article><p style='width: 900px'>wide</p></article>")
    with pytest.raises(SystemExit, match="wider than the paper.*P : wide"):
        printer.print("Header", 1)
    printer.page.close()


def test_a_link_to_nowhere_stops_it():
    from pypdf.annotations import Link

    writer = pypdf.PdfWriter()
    writer.add_blank_page(595, 842)
    writer.add_annotation(0, Link(rect=(0, 0, 9, 9), url="http://here/book%2Fgone%23x"))
    with pytest.raises(SystemExit, match="book/gone#x"):
        pdf.resolve(writer, "http://here", {}, {})


def test_the_command_asks_for_a_built_book(tmp_path):
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tools')!r}); import pdf, pathlib; pdf.HTML "
        f"= pathlib.Path({str(tmp_path)!r}); pdf.make(pdf.OUT)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode and "run.py book" in result.stderr
