"""Sphinx extension of this book: what a reader takes away from a chapter: a citation, the
notebook,
the PDF, and a place to answer.
"""

import os
import posixpath
import shutil
from pathlib import Path
from urllib.parse import quote

import yaml
from docutils import nodes
from reading import CHAPTER

DOWNLOADS = "downloads"  # folder of the built book


def address(app):
    return app.config.html_theme_options["repository_url"]


def title_of(app, docname):
    """The chapter's number and title: (5, 'Moving on the surface')."""
    return app.env.toc_secnumbers[docname][""][0], app.env.titles[docname].astext()


def full_name(person):
    return person.get("name") or f"{person['given-names']} {person['family-names']}"


def citations(citation, number, title, url):
    """A chapter's reference in BibTeX and in words, from the fields of CITATION.cff."""
    # a name in two braces is an institution's, which BibTeX must not take apart
    authors = " and ".join(
        f"{{{p['name']}}}" if "name" in p else f"{p['family-names']}, {p['given-names']}"
        for p in citation["authors"]
    )
    year = str(citation["date-released"])[:4]
    fields = {
        "author": authors,
        "title": title,
        "booktitle": citation["title"],
        "chapter": number,
        "year": year,
        "note": f"Version {citation['version']}",
        "doi": citation.get("doi"),
        "url": url,
    }
    fields = {key: value for key, value in fields.items() if value}
    lines = [f"  {key:<9} = {{{value}}}," for key, value in fields.items()]
    bibtex = "\n".join([f"@incollection{{free-energy-book-{number},", *lines, "}"])
    names = ", ".join(full_name(p) for p in citation["authors"])
    words = (
        f"{names} ({year}). {title}. Chapter {number} of “{citation['title']}”, version "
        f"{citation['version']}. "
        f"{'https://doi.org/' + citation['doi'] if 'doi' in citation else url}"
    )
    return bibtex, words


def files(app, docname):
    """What can be downloaded of a chapter: [(words, icon, file, address in the built book), …].
    PDFs are offered where they follow.

    `tools/pdf.py` prints them from the pages, so they come last: whoever runs it next says so by
    `FE_PDF=1`.
    """
    root, name = Path(app.srcdir), posixpath.basename(docname)
    chapter, colab = root / f"{docname}.ipynb", root / "colab" / f"{name}.ipynb"
    found = [("Notebook", "fas fa-code", chapter, f"_sources/{docname}.ipynb")]
    if colab.exists():
        found.append(
            ("Notebook for Colab", "fab fa-google", colab, f"{DOWNLOADS}/colab/{name}.ipynb")
        )
    if os.environ.get("FE_PDF") == "1":
        found.append(
            ("PDF of this chapter", "fas fa-file-pdf", None, f"{DOWNLOADS}/pdf/{name}.pdf")
        )
        found.append(("PDF of the book", "fas fa-book", None, f"{DOWNLOADS}/pdf/book.pdf"))
    return found


def relative(docname, target):
    return posixpath.relpath(target, posixpath.dirname(docname))


def feedback(app, docname):
    number, title = title_of(app, docname)
    return f"{address(app)}/issues/new?title={quote(f'Chapter {number}, {title}: ')}"


def add_end(app, doctree, docname):
    """The folded box and the line of links below a chapter."""
    if app.builder.format != "html" or not CHAPTER.match(docname):
        return
    number, title = title_of(app, docname)
    bibtex, words = citations(
        yaml.safe_load((Path(app.srcdir) / "CITATION.cff").read_text()), number, title, address(app)
    )
    line = nodes.paragraph("", "Download: ", classes=["take-away"])
    for text, _, _, target in files(app, docname):
        line += [
            nodes.reference("", text, refuri=relative(docname, target), internal=True),
            nodes.Text(" · "),
        ]
    line += nodes.reference("", "Tell us what is wrong or unclear", refuri=feedback(app, docname))
    doctree[0] += [
        nodes.raw("", '<details class="cite"><summary>Cite this chapter</summary>', format="html"),
        nodes.paragraph("", words),
        nodes.literal_block(bibtex, bibtex, language="bibtex"),
        nodes.raw("", "</details>", format="html"),
        line,
    ]


def set_menu(app, pagename, templatename, context, doctree):
    """The theme's download menu says what its entries are, and offers what exists."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            for button in group["buttons"]:
                if button["label"] == "download-pdf-button":
                    button |= {"text": "Print", "icon": "fas fa-print"}
                else:
                    button["text"] = "Source"
            if CHAPTER.match(pagename):
                group["buttons"][:-1] = [
                    {
                        "type": "link",
                        "url": relative(pagename, target),
                        "text": text,
                        "tooltip": text,
                        "icon": icon,
                        "label": "download-source-button",
                    }
                    for text, icon, _, target in files(app, pagename)
                ]


def copy_files(app, exception):
    if exception or app.builder.format != "html":
        return
    for docname in filter(CHAPTER.match, app.env.found_docs):
        for _, _, file, target in files(app, docname):
            if file and target.startswith(DOWNLOADS):
                destination = Path(app.outdir) / target
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, destination)


def setup(app):
    app.connect("doctree-resolved", add_end, priority=800)
    app.connect("html-page-context", set_menu, priority=900)  # after the theme's 501
    app.connect("build-finished", copy_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
