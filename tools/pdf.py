"""The PDF edition: python tools/pdf.py. From the built web pages, in `_build/pdf/`: one file a
chapter, and book.pdf.

Chromium prints each page with book/_static/print.css; pypdf joins the files. Printing page by
page
keeps each page's own
anchors ("#exercises" stands on ten pages: one long page would confuse them), and a chapter's
file
costs nothing more.
Links between pages become links inside the PDF, links to the outside keep their address.
"""

import html
import io
import pathlib
import re
import shutil
import sys
import time
import unicodedata
from urllib.parse import unquote, urldefrag

import pypdf
import yaml
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NullObject,
    TextStringObject,
)

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))
from serving import ARGUMENTS, CHROMIUM, HTML, PATIENCE, served  # noqa: E402

OUT = ROOT / "_build" / "pdf"
CHAPTER = re.compile(r"book/\d\d-")
WIDTH = 642  # CSS pixels between the margins of print.css: 170 mm

READY = """() => !document.querySelector('.math') || (window.MathJax && MathJax.startup && MathJax.startup.promise
    && document.querySelector('mjx-container'))"""  # noqa: E501

# Chromium names a place in the PDF only if a link of the same page leads there: links to all
# anchors, in a box that is not shown.
MARK = """ids => { const box = document.createElement('div'); box.style.display = 'none';
    for (const id of ids) if (document.getElementById(id)) { const a = document.createElement('a'); a.href = '#' + encodeURIComponent(id); box.append(a) }
    document.body.append(box) }"""  # noqa: E501

SHRINK = """() => { for (const m of document.querySelectorAll('mjx-container')) {
    const room = m.closest('div.math, td, th, p, li, dd, article').clientWidth, number = m.parentElement.querySelector(':scope > .eqno');
    const free = room - (number ? number.offsetWidth + 12 : 0), wide = m.querySelector('mjx-math').getBoundingClientRect().width;
    if (wide > free) m.style.setProperty('font-size', Math.floor(100 * free / wide) + '%', 'important') } }"""  # noqa: E501

OVERFLOW = """width => [...document.querySelectorAll('article *')].filter(e => !e.closest('mjx-assistive-mml, mjx-container'))
    .concat([...document.querySelectorAll('article mjx-math')]).filter(e => { const r = e.getBoundingClientRect(); return r.width && r.right > width + 1 })
    .map(e => e.tagName + ' ' + e.className + ': ' + e.textContent.slice(0, 60))"""  # noqa: E501


def order():
    """Pages in the order of the contents: [(caption of the part or None, [page, …]), …]."""

    def flat(entries):
        return [name for e in entries for name in [e["file"], *flat(e.get("sections", []))]]

    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [(None, [toc["root"]])] + [
        (part["caption"], flat(part["chapters"])) for part in toc["parts"]
    ]


def headings(page):
    """The title and the sections of a page: [(level, anchor, text with its formulas as TeX), …]."""
    found = []
    for section in BeautifulSoup((HTML / f"{page}.html").read_text(), "html.parser").select(
        "article section"
    ):
        heading = section.find(["h1", "h2", "h3"], recursive=False)
        if heading and heading.name != "h3":
            for link in heading.select(".headerlink"):
                link.decompose()
            found.append(
                (int(heading.name[1]), section["id"], " ".join(heading.get_text().split()))
            )
    return found


def anchors(pages):
    """The anchors that some page links to, and each section's: {page: {id, …}}."""
    wanted = {page: set() for page in pages}
    for page in pages:
        text = (HTML / f"{page}.html").read_text()
        wanted[page] |= set(re.findall(r'<section id="([^"]+)"', text))
        for link in re.findall(r'href="([^":]*)#([^"]+)"', text):
            target = (
                ((HTML / page).parent / link[0]).resolve().with_suffix("")
                if link[0]
                else HTML / page
            )
            name = str(target.relative_to(HTML)) if target.is_relative_to(HTML) else None
            wanted.get(name, set()).add(unquote(html.unescape(link[1])))
    return wanted


def plain(title):
    r"""A heading for the outline, which knows no formulas: `\(\theta_q\)` becomes θ_q."""

    def letter(match):
        size = "CAPITAL" if match[1][0].isupper() else "SMALL"
        try:
            return unicodedata.lookup(
                f"GREEK {size} LETTER {match[1].upper().replace('LAMBDA', 'LAMDA')}"
            )  # Unicode's spelling
        except KeyError:
            return match[1]

    return re.sub(r"\\([A-Za-z]+)", letter, re.sub(r"\\[()]", "", title)).replace("\\,", " ")


class Printer:
    def __init__(self, browser, address):
        self.page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.page.emulate_media(media="print", color_scheme="light")
        self.page.route(
            "**/searchindex.js", lambda route: route.abort()
        )  # a megabyte that paper has no use for
        self.address = address

    def open(self, name):
        self.page.goto(f"{self.address}/{name}.html", wait_until="load")
        self.page.wait_for_function(READY)
        self.typeset()

    def typeset(self):
        self.page.evaluate(
            "() => window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => "
            "true) : "
            "true"
        )
        self.page.wait_for_load_state("networkidle")
        self.page.evaluate("() => document.fonts.ready.then(() => true)")
        self.page.evaluate(
            "() => document.querySelectorAll('a.image-reference').forEach(a => "
            "a.replaceWith(...a.childNodes))"
        )
        self.page.evaluate(SHRINK)

    def print(self, header, first, ids=()):
        """The open page as a PDF whose pages are numbered from `first` on, with all its links as
        addresses.
        """
        self.page.evaluate(MARK, sorted(ids))
        header = header.replace("\\", "\\\\").replace('"', '\\"')
        self.page.add_style_tag(
            content=f"""@page {{ @top-left {{ content: "{header}"; font: 8pt sans-serif; color: #555 }}
            @bottom-center {{ content: counter(page); font: 8.5pt sans-serif }} }} html {{ counter-reset: page {first - 1} }}"""  # noqa: E501
        )
        wide = self.page.evaluate(OVERFLOW, WIDTH)
        if wide:
            raise SystemExit(f"{self.page.url}: wider than the paper: {wide[:5]}")
        return pypdf.PdfReader(
            io.BytesIO(
                self.page.pdf(
                    prefer_css_page_size=True, print_background=True, tagged=False, outline=False
                )
            )
        )


def links(page):
    return [
        a.get_object() for a in page.get("/Annots", []) if a.get_object().get("/Subtype") == "/Link"
    ]


def name_links(reader, url):
    """Links inside the page get its full address, so that all links are addresses until they are
    resolved.
    """
    for page in reader.pages:
        for link in links(page):
            if "/Dest" in link:
                target = str(link.pop("/Dest")).lstrip("/")
                link[NameObject("/A")] = DictionaryObject(
                    {
                        NameObject("/S"): NameObject("/URI"),
                        NameObject("/URI"): TextStringObject(f"{url}#{target}"),
                    }
                )


def destination(page, top):
    return ArrayObject(
        [page.indirect_reference, NameObject("/XYZ"), NullObject(), FloatObject(top), NullObject()]
    )


def resolve(writer, address, places, files={}):
    """Addresses of the book's own pages become places in this PDF, or in the chapter's file
    beside
    it.
    """
    lost = []
    for page in writer.pages:
        for link in links(page):
            url, fragment = urldefrag(str(link["/A"]["/URI"]))
            if not url.startswith(address):
                continue
            name = url.removeprefix(address).strip("/").removesuffix(".html")
            key = (name, unquote(fragment)) if fragment else (name, "")
            if key in places:
                number, top = places[key]
                del link["/A"]
                link[NameObject("/Dest")] = destination(writer.pages[number], top)
            elif key in files:
                link["/A"][NameObject("/URI")] = TextStringObject(files[key])
            else:
                lost.append(str(link["/A"]["/URI"]).removeprefix(address))
    if lost:
        raise SystemExit(f"links to places that the PDF lacks: {sorted(set(lost))[:10]}")


def places_of(reader, page, first):
    """Where the anchors of a page are: {(page, id): (number of the PDF's page from 0, height)}."""
    found = {(page, ""): (first, float(reader.pages[0].mediabox.height))}
    for name, d in reader.named_destinations.items():
        found[page, unquote(name.lstrip("/"))] = (
            first + reader.get_destination_page_number(d),
            float(d.top),
        )
    return found


def save(writer, path, title, authors):
    writer.metadata = None
    writer.add_metadata({"/Title": title, "/Author": authors, "/Producer": "Chromium and pypdf"})
    writer._root_object[NameObject("/Lang")] = TextStringObject("en")
    writer._root_object.pop("/Names", None)
    writer.compress_identical_objects(remove_unreferenced=True)
    writer.write(path)


def cover(citation, parts, titles, places, address):
    """Title page and contents as HTML; without `places` the page numbers are noughts."""
    esc = html.escape
    authors = ", ".join(
        person.get("name") or f"{person['given-names']} {person['family-names']}"
        for person in citation["authors"]
    )
    title, _, subtitle = citation["title"].partition(": ")
    rows = []
    for caption, pages in parts[1:]:
        rows.append(f'<h3 class="part">{esc(caption)}</h3>')
        for page in pages:
            for level, anchor, text in titles[page]:
                number = places[page, anchor][0] + 1 if places else 0
                if level == 1 or "/api" not in page:
                    rows.append(
                        f'<a class="entry level{level}" '
                        f'href="{address}/{page}.html#{anchor}"><span '
                        f'class="math-text">{esc(text)}</span><b></b><i>{number}</i></a>'
                    )
    return f"""<style>.front {{ text-align: center; break-after: page; padding-top: 45mm }} .front h1 {{ font-size: 27pt !important }} .front p {{ font-size: 12pt }}
        .front img {{ width: 100%; margin: 14mm 0 }} .entry {{ display: flex; gap: 1mm; color: black !important; align-items: baseline; break-inside: avoid; line-height: 1.25 }}
        .entry b {{ flex: 1; border-bottom: 0.4pt dotted #999 }} .entry i {{ font-style: normal; font-size: 9pt }} .level1 {{ font-weight: 600; margin-top: 1.5mm; break-after: avoid }}
        .level2 {{ padding-left: 6mm; font-size: 9pt }} .part {{ margin: 4mm 0 0 !important; text-transform: uppercase; font-size: 9pt !important; letter-spacing: 0.08em }}</style>
        <div class="front"><h1>{esc(title)}</h1><p>{esc(subtitle[:1].upper() + subtitle[1:])}</p><img src="{address}/_static/surface.png" alt="">
        <p>{esc(authors)}</p><p>Version {esc(str(citation["version"]))}. Text and figures: CC BY 4.0. Code: MIT.</p></div>
        <h2 style="margin-top: 0 !important">Contents</h2>{"".join(rows)}"""  # noqa: E501


def print_cover(printer, markup):
    printer.open("book/notation")
    printer.page.evaluate(
        """markup => { document.querySelector('article').innerHTML = markup;
        return MathJax.typesetPromise([...document.querySelectorAll('article .math-text')].filter(e => e.textContent.includes('\\\\('))) }""",  # noqa: E501
        markup,
    )
    printer.typeset()
    # the title page has no header and no number
    printer.page.add_style_tag(
        content='@page :first { @top-left { content: "" !important } @bottom-center { content: '
        '"" '
        "!important } }"
    )
    return printer.print("Contents", 1)


def outline(writer, parts, titles, places):
    for caption, pages in parts:
        part = None
        for page in pages:
            for level, anchor, text in titles[page]:
                number, top = places[page, anchor]
                if level == 1:
                    if caption and part is None:
                        part = writer.add_outline_item(
                            title=caption, page_number=number, bold=True, is_open=True
                        )
                    chapter = writer.add_outline_item(
                        title=plain(text),
                        page_number=number,
                        parent=part,
                        fit=pypdf.generic.Fit.xyz(top=top),
                        is_open=False,
                    )
                else:
                    writer.add_outline_item(
                        title=plain(text),
                        page_number=number,
                        parent=chapter,
                        fit=pypdf.generic.Fit.xyz(top=top),
                    )


def save_chapter(folder, reader, page, places, titles, address, authors):
    """One chapter alone; links to other chapters lead to the files beside it, at the right page."""
    first = places[page, ""][0]
    local = {key: (number - first, top) for key, (number, top) in places.items() if key[0] == page}
    beside = {
        key: f"{pathlib.Path(key[0]).name}.pdf#page={number - places[key[0], ''][0] + 1}"
        if CHAPTER.match(key[0])
        else f"book.pdf#page={number + 1}"
        for key, (number, _) in places.items()
    }
    writer = pypdf.PdfWriter()
    writer.append(reader, import_outline=False)
    resolve(writer, address, local, beside)
    outline(writer, [(None, [page])], titles, local)
    save(writer, folder / f"{pathlib.Path(page).name}.pdf", titles[page][0][2], authors)


def make(folder):
    began = time.time()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    authors = ", ".join(
        person.get("name") or f"{person['given-names']} {person['family-names']}"
        for person in citation["authors"]
    )
    parts = order()
    names = [page for _, pages in parts for page in pages]
    missing = [page for page in names if not (HTML / f"{page}.html").exists()]
    if missing:
        raise SystemExit(f"not built: {missing[:3]}; run `python3 run.py book` first")
    wanted = anchors(names)
    folder.mkdir(parents=True, exist_ok=True)
    with served(HTML) as address, sync_playwright() as p:
        printer = Printer(p.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS), address)
        titles = {page: headings(page) for page in names}
        first = len(print_cover(printer, cover(citation, parts, titles, None, address)).pages)
        readers, places = {}, {}
        for page in names:
            printer.open(page)
            readers[page] = printer.print(plain(titles[page][0][2]), first + 1, wanted[page])
            places |= places_of(readers[page], page, first)
            name_links(readers[page], f"{address}/{page}.html")
            first += len(readers[page].pages)
        front = print_cover(printer, cover(citation, parts, titles, places, address))
        book = pypdf.PdfWriter()
        for reader in (front, *readers.values()):
            book.append(reader, import_outline=False)
        resolve(book, address, places)
        outline(book, parts, titles, places)
        save(book, folder / "book.pdf", citation["title"], authors)
        for page in names:
            if CHAPTER.match(page):
                save_chapter(folder, readers[page], page, places, titles, address, authors)
    size = (folder / "book.pdf").stat().st_size / 1e6
    print(
        f"{folder / 'book.pdf'}: {len(book.pages)} pages, {size:.1f} MB, "
        f"{time.time() - began:.0f} s; one file a chapter beside it"
    )


if __name__ == "__main__":
    make(OUT)
    shutil.copytree(
        OUT, HTML / "downloads" / "pdf", dirs_exist_ok=True
    )  # where the pages offer them
