"""The PDF edition, in `_build/pdf/`: book.pdf and one file a chapter, from the built web pages.

Chromium prints each page with book/_static/print.css; book/_static/pdf.js gives every anchor a name
that is unique in the book ("#exercises" stands on ten pages). pypdf joins the pages: links between
them become links inside the PDF, links to the outside keep their address. Tags (tags.py) say what
is a heading, a table, a figure and, in TeX, each formula.
"""

import html
import io
import pathlib
import re
import shutil
import sys
import time
from urllib.parse import unquote

import jinja2
import pypdf
import yaml
from playwright.sync_api import sync_playwright
from pypdf.generic import Destination, Fit, NameObject, TextStringObject
from reading import CHAPTER
from tags import tag

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))
from serving import ARGUMENTS, CHROMIUM, HTML, PATIENCE, served  # noqa: E402

OUT = ROOT / "_build" / "pdf"
WIDTH = 642  # CSS pixels between the margins of print.css: 170 mm


def order():
    """Pages in the order of the contents: [(caption of the part or None, [page, …]), …]."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    flat = lambda entries: [n for e in entries for n in (e["file"], *flat(e.get("sections", [])))]
    parts = [(part["caption"], flat(part["chapters"])) for part in toc["parts"]]
    return [(None, [toc["root"]]), *parts]


def plain(title):
    r"""A heading for the outline, which knows no formulas: `\(\theta_q\)` becomes θ_q."""
    letter = lambda command: html.unescape(f"&{command[1]};").strip("&;")
    words = title.replace("\\(", "").replace("\\)", "").replace("\\,", " ")
    return re.sub(r"\\([A-Za-z]+)", letter, words)


class Printer:
    def __init__(self, browser, address):
        self.page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.page.emulate_media(media="print", color_scheme="light")
        self.page.add_init_script(path=ROOT / "book" / "_static" / "pdf.js")
        self.address = address

    def open(self, name):
        """The page, ready to be printed; its headings: [[level, place, words], …]."""
        self.page.goto(f"{self.address}/{name}.html", wait_until="load")
        return self.page.evaluate("name => paper.prepare(name)", name)

    def print(self, header, first, style="decimal"):
        """The open page as a PDF whose pages are numbered from `first` on."""
        if wide := self.page.evaluate("all => paper.number(...all)", [header, first, style, WIDTH]):
            raise SystemExit(f"{self.page.url}: wider than the paper: {wide[:5]}")
        pdf = self.page.pdf(prefer_css_page_size=True, print_background=True, tagged=True)
        return pypdf.PdfReader(io.BytesIO(pdf))

    def cover(self, **values):
        """Title page and contents, in the place of a page that has MathJax."""
        self.open("book/notation")
        template = (ROOT / "book" / "_templates" / "cover.html").read_text()
        markup = jinja2.Template(template, autoescape=True).render(values)
        self.page.evaluate("markup => paper.cover(markup)", markup)
        return self.print("Contents", 1, "lower-roman")


def links(page):
    found = [a.get_object() for a in page.get("/Annots", [])]
    return [a for a in found if a.get("/Subtype") == "/Link"]


def resolve(writer, address, inside, beside):
    """Links to places of the book lead `inside` this PDF, or to files `beside` it."""
    for link in [link for page in writer.pages for link in links(page)]:
        dest = link.get("/Dest")
        url = f"{address}/{dest.lstrip('/')}" if dest else str(link["/A"]["/URI"])
        name = unquote(url.removeprefix(f"{address}/"))
        if name in inside:
            number, top = inside[name]
            there = Destination(name, writer.pages[number].indirect_reference, Fit.xyz(top=top))
            link.pop("/A", None)
            link[NameObject("/Dest")] = there.dest_array
        elif name in beside:
            link["/A"][NameObject("/URI")] = TextStringObject(beside[name])
        elif url.startswith(f"{address}/"):
            raise SystemExit(f"a link leads to {name}, which the PDF lacks")


def save(path, printed, address, inside, beside, headings, metadata, front=0):
    """Printed pages as one file; headings [(level, place, words), …] become its bookmarks. The
    first `front` pages are numbered apart, and viewers count as the paper does."""
    writer, above = pypdf.PdfWriter(), {-1: None}
    for reader in printed:
        writer.append_pages_from_reader(reader)
    tag(writer, printed)
    resolve(writer, address, inside, beside)
    for level, name, words in headings:
        number, top = inside[name]
        parent, how = above[max(n for n in above if n < level)], Fit.xyz(top=top)
        look = dict(bold=level == 0, is_open=level == 0)
        look |= dict(title=plain(words), page_number=number, parent=parent, fit=how)
        above[level] = writer.add_outline_item(**look)
    if front:
        writer.set_page_label(0, front - 1, style="/r")
        writer.set_page_label(front, len(writer.pages) - 1, style="/D", start=1)
    writer.metadata = metadata | {"/Producer": "Chromium and pypdf"}
    writer.root_object[NameObject("/Lang")] = TextStringObject("en")
    writer.compress_identical_objects()
    writer.write(path)


def make(folder):
    began = time.time()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    named = lambda p: p.get("name") or f"{p['given-names']} {p['family-names']}"
    authors = ", ".join(map(named, citation["authors"]))
    names = [page for _, pages in order() for page in pages]
    if missing := [page for page in names if not (HTML / f"{page}.html").exists()]:
        raise SystemExit(f"not built: {missing[:3]}; run `python3 run.py book` first")
    folder.mkdir(parents=True, exist_ok=True)
    headings, printed, first, where, count = {}, {}, {}, {}, 0
    with served(HTML) as address, sync_playwright() as p:
        printer = Printer(p.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS), address)
        for page in names:
            headings[page] = printer.open(page)
            printed[page] = reader = printer.print(plain(headings[page][0][2]), count + 1)
            for name, d in reader.named_destinations.items():
                number = count + reader.get_destination_page_number(d)
                where[unquote(name.lstrip("/"))] = page, number, float(d.top)
            first[page], count = count, count + len(reader.pages)
        contents = []
        for caption, pages in order():
            contents += [(0, pages[0], caption)] if caption else []
            contents += [heading for page in pages for heading in headings[page]]
        rows = [(*row, where[row[1]][1] + 1) for row in contents]
        front = printer.cover(citation=citation, authors=authors, rows=rows)
    ahead, book = len(front.pages), [front, *printed.values()]
    inside = {name: (ahead + number, top) for name, (_, number, top) in where.items()}
    metadata = {"/Title": citation["title"], "/Author": authors}
    save(folder / "book.pdf", book, address, inside, {}, contents, metadata, ahead)
    files = {page: f"{pathlib.Path(page).name}.pdf" for page in filter(CHAPTER.match, names)}
    beside = {name: f"book.pdf#page={number + 1}" for name, (number, _) in inside.items()}
    own = {page: {} for page in files}
    for name, (page, number, top) in where.items():
        if page in files:
            own[page][name] = number - first[page], top
            beside[name] = f"{files[page]}#page={number - first[page] + 1}"
    for page, file in files.items():
        metadata["/Title"] = plain(headings[page][0][2])
        save(folder / file, [printed[page]], address, own[page], beside, headings[page], metadata)
    print(f"{folder}: {ahead + count} pages, {time.time() - began:.0f} s")


if __name__ == "__main__":
    make(OUT)
    # where the pages offer them
    shutil.copytree(OUT, HTML / "downloads" / "pdf", dirs_exist_ok=True)
