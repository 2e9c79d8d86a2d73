"""Sphinx extension of this book: what the theme leaves out for readers with a keyboard or a screen
reader.

The pages' HTML gets names for the unnamed and roles that fit; `book/_static/access.js` does what
depends on the window.
Progress bars, which say nothing on a page, are taken out.
"""

import re
from pathlib import Path

from docutils import nodes

BAR = re.compile(
    r"[^\n]*: +0(?:%\||it \[)[^\n]*\s*"
)  # the first line of a tqdm bar, with and without a known end

CHANGES = [
    # the arrows that open a part of the contents have no name
    (
        re.compile(
            r'(<a class="[^"]*reference internal" '
            r'href="[^"]*">)([^<]*)(</a><details[^>]*><summary)(>)'
        ),
        r'\1\2\3 aria-label="Pages of: \2"\4',
    ),
    # the sidebar lies outside of every landmark
    (
        re.compile(r'<div id="pst-primary-sidebar" class='),
        '<div id="pst-primary-sidebar" role="complementary" aria-label="The book" class=',
    ),
    # a list whose entries have a role that is no list item's, and that ARIA has given up
    (
        re.compile(r'(<div class="citation" id="[^"]*") role="doc-biblioentry"'),
        r'\1 role="listitem"',
    ),
    # every theorem, exercise and solution of a page has the same id inside
    (re.compile(r' id="(?:proof|exercise|solution)-content"'), ""),
]


def improve(text):
    for pattern, replacement in CHANGES:
        text = pattern.sub(replacement, text)
    return text


def improve_all(app, error):
    if error or app.builder.name != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        if "_static" not in path.parts:
            text = path.read_text()
            if (better := improve(text)) != text:
                path.write_text(better)


def remove_bars(app, doctree):
    """Each output of a cell that is the first line of a progress bar goes, and the cell's box of
    outputs if nothing else is in it.
    """
    for outputs in [
        n for n in doctree.findall(nodes.container) if n.get("nb_element") == "cell_code_output"
    ]:
        for output in list(outputs):
            texts = [n for n in output.findall(nodes.literal_block)]
            if (
                texts
                and all(BAR.fullmatch(text.astext()) for text in texts)
                and not list(output.findall(nodes.image))
            ):
                outputs.remove(output)
        if not outputs.children:
            outputs.parent.remove(outputs)


def leave_equations_out_of_the_tab_order(app, config):
    """Seven hundred equations a page, each a stop of the Tab key, would bar the way; their menu
    stays for the mouse.
    """
    settings = dict(config.mathjax3_config or {})
    options = dict(settings.get("options", {}))
    options["menuOptions"] = {"settings": {"inTabOrder": False}}
    config.mathjax3_config = settings | {"options": options}


def skip_nameless_fields(app, what, name, thing, skip, options):
    """Fields of named tuples whose text is Python's own say nothing."""
    return str(thing.__doc__).startswith("Alias for field number") or None


def setup(app):
    app.connect("autodoc-skip-member", skip_nameless_fields)
    app.connect("config-inited", leave_equations_out_of_the_tab_order)
    app.connect("doctree-read", remove_bars)
    app.connect("build-finished", improve_all)
    app.add_js_file("access.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
