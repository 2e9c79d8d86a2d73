"""Sphinx extension of this book: what a reader takes away from a page (notebooks, PDFs, a citation)
and where to report a mistake; book/_templates/ shows it.

Where html_baseurl says where the pages are, they also say so to those that link to them.
"""

import os
import posixpath
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import quote

import yaml
from reading import CHAPTER

MOVED = {}  # pages that have moved: {"book/old-name": "new-name.html", relative to it}


def full_name(person):
    return person.get("name") or f"{person['given-names']} {person['family-names']}"


def citations(citation, number, title, url):
    """A chapter's reference in BibTeX and in words, from the fields of CITATION.cff."""
    # a name in two braces is an institution's, which BibTeX must not take apart
    authors = " and ".join(
        f"{{{p['name']}}}" if "name" in p else f"{p['family-names']}, {p['given-names']}"
        for p in citation["authors"]
    )
    book, version, doi = citation["title"], citation["version"], citation.get("doi")
    year = str(citation["date-released"])[:4]
    fields = {"author": authors, "title": title, "booktitle": book, "chapter": number}
    fields |= {"year": year, "note": f"Version {version}", "doi": doi, "url": url}
    lines = [f"  {key:<9} = {{{value}}}," for key, value in fields.items() if value]
    bibtex = "\n".join([f"@incollection{{free-energy-book-{number},", *lines, "}"])
    names = ", ".join(map(full_name, citation["authors"]))
    words = f"{names} ({year}). {title}. Chapter {number} of “{book}”, version {version}. "
    return bibtex, words + (f"https://doi.org/{doi}" if doi else url)


def files(root, docname):
    """What can be downloaded of a chapter: [(words, icon, address in the built book), …]. PDFs are
    offered where they follow: tools/pdf.py prints them from the pages, so whoever runs it next says
    so by `FE_PDF=1`.
    """
    name = posixpath.basename(docname)
    found = [("Notebook", "fas fa-code", f"_sources/{docname}.ipynb")]
    if (root / "colab" / f"{name}.ipynb").exists():
        found += [("Notebook for Colab", "fab fa-google", f"downloads/colab/{name}.ipynb")]
    if os.environ.get("FE_PDF") == "1":
        found += [("PDF of this chapter", "fas fa-file-pdf", f"downloads/pdf/{name}.pdf")]
        found += [("PDF of the book", "fas fa-book", "downloads/pdf/book.pdf")]
    return found


def issue(options, title):
    """The address that opens an issue of this title."""
    gitlab = options.get("repository_provider") == "gitlab"
    path = "/-/issues/new?issue[title]=" if gitlab else "/issues/new?title="
    return options["repository_url"] + path + quote(title)


def last_change(root, path):
    """The day of a file's last commit. None without git, and where a clone's history was cut off:
    its first commit seems to have written everything.
    """
    command = ["git", "-C", root, "log", "-1", "--format=%cs %D", "--", path]
    try:
        said = subprocess.run(command, capture_output=True, text=True).stdout
    except OSError:
        return None
    return said[:10] if "grafted" not in said else None


def complete(app, pagename, templatename, context, doctree):
    """What the templates show, and no scripts that would run cells on the page."""
    root, options = Path(app.srcdir), app.config.html_theme_options
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    title = unescape(re.sub("<[^>]+>", "", context.get("title") or pagename))
    if CHAPTER.match(pagename):
        number, name = app.env.toc_secnumbers[pagename][""][0], app.env.titles[pagename].astext()
        bibtex, words = citations(citation, number, name, options["repository_url"])
        context |= {"files": files(root, pagename), "bibtex": bibtex, "words": words}
        title = f"Chapter {number}, {name}"
    context["mistake"] = issue(options, f"{title}: ")
    context["version"] = citation["version"]
    context["changed"] = last_change(root, app.env.doc2path(pagename, False))
    context["script_files"] = [
        file
        for file in context["script_files"]
        if "thebe" not in f"{file.filename} {file.attributes.get('body')}"
    ]


def copy_colab_edition(app, exception):
    if not exception and app.builder.format == "html":
        target = Path(app.outdir) / "downloads" / "colab"
        shutil.copytree(Path(app.srcdir) / "colab", target, dirs_exist_ok=True)


def setup(app):
    if app.config.html_baseurl:
        app.config.html_baseurl = app.config.html_baseurl.rstrip("/") + "/"
        for name in ("sphinxext.opengraph", "sphinx_sitemap", "sphinx_reredirects"):
            app.setup_extension(name)
        app.config.ogp_site_url = app.config.html_baseurl
        app.config.ogp_site_name = app.config.html_title
        app.config.ogp_image = "_static/surface.png"
        app.config.ogp_image_alt = "Rate against distortion at constant classification loss"
        app.config.sitemap_url_scheme = "{link}"
        app.config.sitemap_excludes = ["search.html", "genindex.html"]
        app.config.redirects = MOVED
    app.connect("html-page-context", complete, priority=900)  # when the scripts are known
    app.connect("build-finished", copy_colab_edition)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
