"""Sphinx extension of this book: pages without what says nothing to anybody: progress bars, and
Python's own words on the fields of named tuples. `book/_static/access.js` does more for readers
with a keyboard or a screen reader.
"""

import re

from docutils import nodes

# the first line of a tqdm bar, with and without a known end
BAR = re.compile(r"[^\n]*: +0(?:%\||it \[)[^\n]*\s*")


def is_bar(output):
    texts = [text.astext() for text in output.findall(nodes.literal_block)]
    return texts and all(map(BAR.fullmatch, texts)) and not list(output.findall(nodes.image))


def remove_bars(app, doctree):
    """Outputs of cells that are the first line of a bar go, and boxes that hold nothing else."""
    for box in list(doctree.findall(nodes.container)):
        if box.get("nb_element") == "cell_code_output":
            box.children = [output for output in box if not is_bar(output)]
            if not box.children:
                box.parent.remove(box)


def skip_nameless_fields(app, what, name, thing, skip, options):
    return str(thing.__doc__).startswith("Alias for field number") or None


def setup(app):
    app.connect("autodoc-skip-member", skip_nameless_fields)
    app.connect("doctree-read", remove_bars)
    app.add_js_file("access.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
