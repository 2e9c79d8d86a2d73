"""Sphinx extension of this book: what a reader takes away from a page (notebooks, PDFs, a citation)
and a place to answer; book/_templates/ shows it. With an address (html_baseurl) pages also say who
they are to those that link to them.
"""

import functools
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

DOWNLOADS = "downloads"  # folder of the built book


def full_name(person):
    return person.get("name") or f"{person['given-names']} {person['family-names']}"


def citations(citation, number, title, url):
    """A chapter's reference in BibTeX and in words, from the fields of CITATION.cff."""
    # a name in two braces is an institution's, which BibTeX must not take apart
    authors = " and ".join(
        f"{{{p['name']}}}" if "name" in p else f"{p['family-names']}, {p['given-names']}"
        for p in citation["authors"]
    )
    year, doi = str(citation["date-released"])[:4], citation.get("doi")
    fields = {
        "author": authors,
        "title": title,
        "booktitle": citation["title"],
        "chapter": number,
        "year": year,
        "note": f"Version {citation['version']}",
        "doi": doi,
        "url": url,
    }
    lines = [f"  {key:<9} = {{{value}}}," for key, value in fields.items() if value]
    bibtex = "\n".join([f"@incollection{{free-energy-book-{number},", *lines, "}"])
    words = (
        f"{', '.join(map(full_name, citation['authors']))} ({year}). {title}. Chapter {number} of "
        f"“{citation['title']}”, version {citation['version']}. "
        f"{f'https://doi.org/{doi}' if doi else url}"
    )
    return bibtex, words


def files(root, docname):
    """What can be downloaded of a chapter: [(words, icon, address in the built book), …]. PDFs are
    offered where they follow: tools/pdf.py prints them from the pages, so whoever runs it next says
    so by `FE_PDF=1`.
    """
    name = posixpath.basename(docname)
    found = [("Notebook", "fas fa-code", f"_sources/{docname}.ipynb")]
    if (root / "colab" / f"{name}.ipynb").exists():
        found += [("Notebook for Colab", "fab fa-google", f"{DOWNLOADS}/colab/{name}.ipynb")]
    if os.environ.get("FE_PDF") == "1":
        found += [("PDF of this chapter", "fas fa-file-pdf", f"{DOWNLOADS}/pdf/{name}.pdf")]
        found += [("PDF of the book", "fas fa-book", f"{DOWNLOADS}/pdf/book.pdf")]
    return found


@functools.cache
def days(root):
    """{file: the day of its last commit}; empty without git, and in a shallow clone, whose one
    commit seems to have written everything.
    """

    def git(*arguments):
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    found, day = {}, None
    try:
        if git("rev-parse", "--is-shallow-repository").strip() == "true":
            return {}
        for line in git("log", "--format=@%cs", "--name-only", "--relative").splitlines():
            if line.startswith("@"):
                day = line[1:]
            elif line:
                found.setdefault(line, day)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return found


def issue(options, title):
    """The address that opens an issue of this title."""
    gitlab = options.get("repository_provider") == "gitlab"
    path = "/-/issues/new?issue[title]=" if gitlab else "/issues/new?title="
    return options["repository_url"] + path + quote(title)


def complete(app, pagename, templatename, context, doctree):
    """What the templates show, and the theme's buttons: the Colab edition, which holds no raw MyST,
    is what is launched, and the download menu offers what exists.
    """
    root, options = Path(app.srcdir), app.config.html_theme_options
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    title = unescape(re.sub("<[^>]+>", "", context.get("title") or pagename))
    found = [("Source", "fas fa-file", f"_sources/{context.get('sourcename')}")]
    if CHAPTER.match(pagename):
        number, name = app.env.toc_secnumbers[pagename][""][0], app.env.titles[pagename].astext()
        bibtex, words = citations(citation, number, name, options["repository_url"])
        found, title = files(root, pagename), f"Chapter {number}, {name}"
        context |= {"chapter": found, "bibtex": bibtex, "words": words}
    context |= {
        "version": citation["version"],
        "mistake": issue(options, f"{title}: "),
        "changed": days(root).get(app.env.doc2path(pagename, False)),
        # those that would run cells on a page; this book runs them elsewhere
        "script_files": [s for s in context["script_files"] if "thebe" not in script(s)],
    }
    buttons = [
        {"type": "link", "text": text, "icon": icon, "url": context["pathto"](target, 1)}
        for text, icon, target in found
    ]
    buttons.append(
        {"type": "javascript", "text": "Print", "icon": "fas fa-print", "javascript": "print()"}
    )
    for group in context["header_buttons"]:
        for button in group.get("buttons", []):
            name = posixpath.basename(pagename)
            button["url"] = button["url"].replace(f"/{pagename}.ipynb", f"/colab/{name}.ipynb")
    if "sourcename" in context:
        context["header_buttons"].append(
            {
                "type": "group",
                "label": "download-buttons",
                "icon": "fas fa-download",
                "tooltip": "Download this page",
                "buttons": buttons,
            }
        )


def script(file):
    return f"{file.filename} {file.attributes.get('body')}"


def copy_colab_edition(app, exception):
    if not exception and app.builder.format == "html":
        target = Path(app.outdir) / DOWNLOADS / "colab"
        shutil.copytree(Path(app.srcdir) / "colab", target, dirs_exist_ok=True)


def setup(app):
    if app.config.html_baseurl:
        address = app.config.html_baseurl = app.config.html_baseurl.rstrip("/") + "/"
        for name in ("sphinxext.opengraph", "sphinx_sitemap", "sphinx_reredirects"):
            app.setup_extension(name)
        app.config.ogp_site_url = address
    app.connect("html-page-context", complete, priority=900)  # after the theme's 501
    app.connect("build-finished", copy_colab_edition)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
