"""Sphinx extension of this book: symbols that lead to their entry.

The table of book/notation.md is the one source of the symbols: all formulas in the first cell of
a
row are spellings of one
symbol, the third cell lists the chapters in which it has this meaning, the last cell says what
it
means.
"""

import re

from docutils import nodes
from sphinx_design.dropdown import dropdown_main
from sphinx_exercise.nodes import solution_node

NOTATION = "book/notation"
CHAPTER = re.compile(r"book/\d\d-")


def tidy(tex):
    r"""One spelling of a formula: no spaces, no braces around a single letter. `b_{q}` and `b_q`
    are the same.
    """
    tex = re.sub(r"\\[,;:!]|\s+", "", tex.replace(r"\mid", "|"))
    return re.sub(r"\{(\\[A-Za-z]+|[^{}\\])\}", r"\1", tex)


def rows(doctree):
    """The rows of the symbols' table, each with its spellings and its chapters: [(row, ["b_q",
    …],
    {5, 6, …}), …].
    """
    table = next(iter(doctree.findall(nodes.table)))
    body = next(iter(table.findall(nodes.tbody)))
    return [
        (row, [tidy(m.astext()) for m in row[0].findall(nodes.math)], numbers(row[2].astext()))
        for row in body
    ]


def numbers(text):
    """The chapters that a cell lists: "2, 5–7" is {2, 5, 6, 7}."""
    found = set()
    for first, last in re.findall(r"(\d+)(?:–(\d+))?", text):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def name_rows(app, doctree):
    """Each row of the notation page gets an anchor, made from its first spelling."""
    if app.env.docname == NOTATION:
        for row, spellings, _ in rows(doctree):
            name = spellings[0].replace("'", "-prime").replace("*", "-star")
            row["ids"].append("symbol-" + re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-"))


def is_running_text(math):
    """In a paragraph, in no heading, link, table or caption, not folded away, nor in the box
    before
    the chapter starts.
    """
    around = list(ancestors(math.parent))[:-1]  # the last is the document
    barred = (nodes.title, nodes.reference, nodes.table, nodes.caption)
    return any(isinstance(n, nodes.paragraph) for n in around) and not any(
        isinstance(n, barred) or "tip" in n["classes"] or folds(n) for n in around
    )


def spoken(tex):
    r"""A formula for a screen reader, which hears nothing inside the link: `F_{\lambda\gamma}`
    is
    "F lambda gamma, symbol".
    """
    return " ".join(re.findall(r"[A-Za-z]+|\d+", tex)) + ", symbol"


def without_links(paragraph):
    """A copy of what stands in a paragraph: a text that appears on hover has no links, the words
    of
    a reference stay.
    """
    copy = paragraph.deepcopy()
    for reference in list(copy.findall(nodes.reference)):
        reference.parent[
            reference.parent.index(reference) : reference.parent.index(reference) + 1
        ] = reference.children
    return copy.children


def notation(app):
    """The rows of the notation page with its references resolved, once a build."""
    if not hasattr(app, "notation_rows"):
        doctree = app.env.get_doctree(NOTATION)
        app.env.resolve_references(doctree, NOTATION, app.builder)
        app.notation_rows = rows(doctree)
    return app.notation_rows


def link(math, address, meaning, name):
    """The formula as a link, with what it means in a text that appears on hover and focus
    (reading.css).
    """
    start = f'<span class="symbol"><a class="symbol-link" href="{address}" aria-label="{spoken(math.astext())}" aria-describedby="{name}">'  # noqa: E501
    return [
        nodes.raw("", start, format="html"),
        math.deepcopy(),
        nodes.raw("", f'</a><span class="symbol-text" role="tooltip" id="{name}">', format="html"),
        *meaning,
        nodes.raw("", "</span></span>", format="html"),
    ]


def link_first_uses(app, doctree, docname):
    if app.builder.format != "html" or not CHAPTER.match(docname):
        return
    number = int(docname.removeprefix("book/")[:2])
    entries = {
        spelling: row
        for row, spellings, chapters in notation(app)
        if number in chapters
        for spelling in spellings
    }
    page, seen = app.builder.get_relative_uri(docname, NOTATION), set()
    for math in list(doctree.findall(nodes.math)):
        row = entries.get(tidy(math.astext()))
        if row is None or row["ids"][0] in seen or not is_running_text(math):
            continue
        anchor = row["ids"][0]
        seen.add(anchor)
        math.replace_self(
            link(math, f"{page}#{anchor}", without_links(row[-1][0]), f"what-{anchor}")
        )


def folds(node):
    """A solution, or a proof in a dropdown."""
    return isinstance(node, (solution_node, dropdown_main))


def ancestors(node):
    while node is not None:
        yield node
        node = node.parent


def setup(app):
    app.connect("doctree-read", name_rows)
    app.connect("doctree-resolved", link_first_uses, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
