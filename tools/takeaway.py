"""Sphinx extension of this book: what its templates (book/_templates) show of a chapter, and, where
html_baseurl says where the pages are, what they say to those that link to them.
"""

import os
import re
from pathlib import Path

import yaml
from reading import CHAPTER


def complete(app, pagename, templatename, context, doctree):
    """What the templates ask for, and no scripts that would run cells on the page."""
    context["citation"] = yaml.safe_load(Path(app.srcdir, "CITATION.cff").read_text())
    context["pdf"] = os.environ.get("FE_PDF") == "1"
    if CHAPTER.match(pagename):
        number, title = app.env.toc_secnumbers[pagename][""][0], app.env.titles[pagename].astext()
        context["chapter"] = {"number": number, "title": title}
    for name in re.findall(r'<figure[^>]* id="fig-(\w+)-live"', context.get("body", "")):
        for script in ("live.js", "live/models.js", f"live/{name}.js"):
            app.add_js_file(script, loading_method="defer")
    scripts = context["script_files"]
    context["script_files"] = [s for s in scripts if "thebe" not in f"{s.filename} {s.attributes}"]


def skip_nameless_fields(app, what, name, thing, skip, options):
    """Python's own words on the fields of named tuples say nothing to anybody."""
    return str(thing.__doc__).startswith("Alias for field number") or None


def setup(app):
    if app.config.html_baseurl:
        app.config.html_baseurl = app.config.html_baseurl.rstrip("/") + "/"
        app.setup_extension("sphinxext.opengraph")
        app.setup_extension("sphinx_sitemap")
        app.config.ogp_site_url = app.config.html_baseurl
        app.config.ogp_site_name = app.config.html_title
        app.config.ogp_image = "_static/surface.png"
        app.config.ogp_image_alt = (
            "Distortion falls, the rate rises, and the classification loss stays flat"
        )
        app.config.sitemap_url_scheme = "{link}"
        app.config.sitemap_excludes = ["search.html", "genindex.html"]
    app.connect("autodoc-skip-member", skip_nameless_fields)
    app.connect("html-page-context", complete, priority=900)  # when the scripts are known
    return {"parallel_read_safe": True, "parallel_write_safe": True}
