"""Sphinx extension of this book: symbols lead to their entry where a chapter first uses them.

Each row of the table in book/notation.md is a symbol: all formulas in its first cell are spellings,
the second says what it means, the third lists the chapters in which it does.
"""

import functools
import re

from docutils import nodes
from sphinx.util.nodes import traverse_parent
from sphinx_design.dropdown import dropdown_main
from sphinx_exercise.nodes import solution_node

NOTATION = "book/notation"
CHAPTER = re.compile(r"book/(\d\d)-")
BARRED = nodes.title, nodes.reference, nodes.table, nodes.caption, solution_node, dropdown_main


def tidy(tex):
    r"""One spelling of a formula: `b_{q}` and `b_q`, spaces or none."""
    tex = re.sub(r"\\[,;:!]|\s+", "", tex.replace(r"\mid", "|"))
    return re.sub(r"\{(\\[A-Za-z]+|[^{}\\])\}", r"\1", tex)


def numbers(text):
    """The chapters that a cell lists: "2, 5–7" is {2, 5, 6, 7}."""
    pairs = re.findall(r"(\d+)(?:–(\d+))?", text)
    return {n for first, last in pairs for n in range(int(first), int(last or first) + 1)}


def rows(doctree):
    """(row, its spellings, its chapters) of each row of the symbols' table."""
    for row in next(doctree.findall(nodes.tbody)):
        spellings = [tidy(math.astext()) for math in row[0].findall(nodes.math)]
        yield row, spellings, numbers(row[2].astext())


def name_rows(app, doctree):
    """Each row of the notation page gets an anchor, made from its first spelling."""
    if app.env.docname == NOTATION:
        for row, (first, *_), _ in rows(doctree):
            name = first.replace("'", "-prime").replace("*", "-star")
            row["ids"].append("symbol-" + re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-"))


def is_running_text(math):
    """In a paragraph and nowhere that is barred, nor in the box before the chapter starts."""
    around = list(traverse_parent(math.parent))
    barred = (isinstance(n, BARRED) or "tip" in n.get("classes", ()) for n in around)
    return any(isinstance(n, nodes.paragraph) for n in around) and not any(barred)


def spoken(tex):
    r"""`F_{\lambda\gamma}` for a screen reader: "F lambda gamma, symbol"."""
    return " ".join(re.findall(r"[A-Za-z]+|\d+", tex)) + ", symbol"


def without_links(paragraph):
    """A copy of what stands in a paragraph, of its links the words."""
    copy = paragraph.deepcopy()
    for reference in list(copy.findall(nodes.reference)):
        reference.replace_self(reference.children)
    return copy.children


@functools.cache
def notation(app):
    """The rows of the notation page with its references resolved, once a build."""
    doctree = app.env.get_doctree(NOTATION)
    app.env.resolve_references(doctree, NOTATION, app.builder)
    return list(rows(doctree))


def link(math, row, page):
    """The formula as a link, with its meaning, which preview.js shows on hover and focus."""
    html, anchor = (lambda text: nodes.raw("", text, format="html")), row["ids"][0]
    said = f'aria-label="{spoken(math.astext())}" aria-describedby="what-{anchor}"'
    return [
        html(f'<span class="symbol"><a class="symbol-link" href="{page}#{anchor}" {said}>'),
        math.deepcopy(),
        html(f'</a><span class="symbol-text" role="tooltip" id="what-{anchor}">'),
        *without_links(row[1][0]),
        html("</span></span>"),
    ]


def link_first_uses(app, doctree, docname):
    if app.builder.format != "html" or not (chapter := CHAPTER.match(docname)):
        return
    its = [(spellings, row) for row, spellings, where in notation(app) if int(chapter[1]) in where]
    entries = {spelling: row for spellings, row in its for spelling in spellings}
    page, seen = app.builder.get_relative_uri(docname, NOTATION), []
    for math in list(doctree.findall(nodes.math)):
        row = entries.get(tidy(math.astext()))
        if row is not None and row not in seen and is_running_text(math):
            seen.append(row)
            math.replace_self(link(math, row, page))


def setup(app):
    app.connect("doctree-read", name_rows)
    app.connect("doctree-resolved", link_first_uses, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
