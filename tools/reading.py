"""Sphinx extension of this book: symbols that lead to their entry, and the reading time under a chapter's title.

The table of book/notation.md is the one source of the symbols: all formulas in the first cell of a row are spellings of one
symbol, the last cell says what it means.
"""

import re

from docutils import nodes
from sphinx_exercise.nodes import solution_node

NOTATION = "book/notation"
CHAPTER = re.compile(r"book/\d\d-")


def tidy(tex):
    r"""One spelling of a formula: no spaces, no braces around a single letter. `b_{q}` and `b_q` are the same."""
    tex = re.sub(r"\\[,;:!]|\s+", "", tex.replace(r"\mid", "|"))
    return re.sub(r"\{(\\[A-Za-z]+|[^{}\\])\}", r"\1", tex)


def rows(doctree):
    """The rows of the symbols' table with their spellings: [(row, [spelling, …]), …]."""
    table = next(iter(doctree.findall(nodes.table)))
    body = next(iter(table.findall(nodes.tbody)))
    return [(row, [tidy(m.astext()) for m in row[0].findall(nodes.math)]) for row in body]


def name_rows(app, doctree):
    """Each row of the notation page gets an anchor, made from its first spelling."""
    if app.env.docname == NOTATION:
        for row, spellings in rows(doctree):
            row["ids"].append("symbol-" + re.sub(r"[^A-Za-z0-9]+", "-", spellings[0]).strip("-"))


def is_running_text(math):
    """In a paragraph, and in no heading, link, table or caption, nor in the box before the chapter starts."""
    node, paragraph = math.parent, False
    while node.parent is not None:
        if isinstance(node, (nodes.title, nodes.reference, nodes.table, nodes.caption)) or "tip" in node.get("classes", []):
            return False
        paragraph |= isinstance(node, nodes.paragraph)
        node = node.parent
    return paragraph


def link(math, address, meaning, name):
    """The formula as a link, with what it means in a text that appears on hover and focus (reading.css)."""
    start = f'<span class="symbol"><a class="symbol-link" href="{address}" aria-describedby="{name}">'
    text = [child.deepcopy() for child in meaning]
    return [
        nodes.raw("", start, format="html"), math.deepcopy(),
        nodes.raw("", f'</a><span class="symbol-text" role="tooltip" id="{name}">', format="html"), *text,
        nodes.raw("", "</span></span>", format="html"),
    ]


def link_first_uses(app, doctree, docname):
    if app.builder.format != "html" or not CHAPTER.match(docname):
        return
    entries = {spelling: row for row, spellings in rows(app.env.get_doctree(NOTATION)) for spelling in spellings}
    page, seen = app.builder.get_relative_uri(docname, NOTATION), set()
    for math in list(doctree.findall(nodes.math)):
        row = entries.get(tidy(math.astext()))
        if row is None or row["ids"][0] in seen or not is_running_text(math):
            continue
        anchor = row["ids"][0]
        seen.add(anchor)
        paragraph = row[-1][0]
        math.replace_self(link(math, f"{page}#{anchor}", paragraph.children, f"what-{anchor}"))


def is_folded(node):
    """Inside a solution, a folded proof, or the source of a cell that hides it."""
    while node is not None:
        classes = node.get("classes", []) if isinstance(node, nodes.Element) else []
        if isinstance(node, solution_node) or "sd-dropdown" in classes or "dropdown" in classes or node.get("design_component") == "dropdown":
            return True
        node = node.parent
    return False


def amounts(doctree):
    """What a reader meets: words of prose, displayed formulas, lines of code that are not folded away."""
    words = formulas = lines = 0
    for node in doctree.findall(lambda n: isinstance(n, (nodes.paragraph, nodes.math_block, nodes.literal_block))):
        if is_folded(node):
            continue
        if isinstance(node, nodes.paragraph):
            words += len(node.astext().split())
        elif isinstance(node, nodes.math_block):
            formulas += 1
        elif "cell_input" in node.parent.get("classes", []) and not hidden(node.parent.parent):
            lines += sum(bool(line.strip()) for line in node.astext().splitlines())
    return words, formulas, lines


def hidden(cell):
    return any(tag in cell.get("classes", []) for tag in ("tag_hide-input", "tag_remove-input"))


def minutes(words, formulas, lines):
    """At 180 words a minute, half a minute a displayed formula, three seconds a line of code; to five minutes."""
    return max(5, 5 * round((words / 180 + formulas / 2 + lines / 20) / 5))


def show_reading_time(app, doctree, docname):
    if app.builder.format != "html" or not CHAPTER.match(docname):
        return
    words, formulas, lines = amounts(doctree)
    text = f"About {minutes(words, formulas, lines)} minutes to read: {round(words, -2):,} words, {formulas} formulas, {lines} lines of code"
    title = next(iter(doctree.findall(nodes.title)))
    title.parent.insert(title.parent.index(title) + 1, nodes.paragraph("", text, classes=["reading-time"]))


def setup(app):
    app.connect("doctree-read", name_rows)
    app.connect("doctree-resolved", show_reading_time, priority=600)  # before the links, whose texts it must not count
    app.connect("doctree-resolved", link_first_uses, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
