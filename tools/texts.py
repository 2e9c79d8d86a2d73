"""Sphinx extension of this book: every page as Markdown beside it, for readers who have it read to
them and for language models, with `llms.txt` (what there is) and `llms-full.txt` (all of it).

Words, numbers and links are those of the resolved page, written by tools/colab.py's Markdown; a
chapter has its code and what its cells print, and of a figure the caption and the description.
"""

import posixpath
import re
from pathlib import Path

import nbformat
import yaml

from colab import Markdown, edition, fence, listed


class Beside(Markdown):
    """Markdown whose links lead to the other Markdown pages, and what pages of the library need."""

    def __init__(self, env, page):
        super().__init__(env, page)
        here = posixpath.dirname(page)
        known = lambda name: f"{name}.md" if name in env.titles else f"_images/{Path(name).name}"
        self.address = lambda name: posixpath.relpath(known(name), here)

    desc = desc_content = bibliography = citation = glossary = Markdown.blocks
    label = toctree = Markdown.Invisible
    doctest_block = Markdown.literal_block

    def raw(self, node):
        """No buttons: there is nothing to press."""
        return "" if "<input" in node.astext() else super().raw(node)

    def desc_signature(self, node):
        return f"**`{' '.join(node.astext().split())}`**"

    def literal_strong(self, node):
        """Names in a list of them, and what stands between two names."""
        return re.sub(r"[\w.]+", r"`\g<0>`", node.astext())

    def field_list(self, node):
        field = lambda name, body: f"{name.astext()}\n\n{self.blocks(body)}"
        return "\n".join(listed("- ", field(*one)) for one in node)


def printed(cell):
    """What a cell of the stored notebook shows: its text, and its figures in words."""
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        text = output.get("text") or ("" if "image/png" in data else data.get("text/plain", ""))
        if "image/png" in data or "text/html" in data:
            yield f"*Figure: {alt}*" if alt else ""
        elif text:
            yield f"{fence(text, 3)}text\n{text.rstrip()}\n{fence(text, 3)}"


def chapter(env, doctree, page):
    stored = {cell.id: cell for cell in nbformat.read(env.doc2path(page), 4).cells}
    for cell in edition(env, doctree, page, Beside).cells:
        if cell.cell_type == "markdown":
            yield cell.source
        elif "setup" not in cell.metadata.get("tags", ()):
            source = stored[cell.id].source
            yield f"{fence(source, 3)}python\n{source}\n{fence(source, 3)}"
            yield from printed(stored[cell.id])


def page_as_text(env, doctree, page):
    if env.doc2path(page).endswith(".ipynb"):
        blocks = chapter(env, doctree, page)
    else:
        blocks = (text for *_, text in Beside(env, page).of_page(doctree))
    return "\n\n".join(filter(None, blocks)) + "\n"


def keep(app, doctree, page):
    if app.builder.name == "html":
        path = Path(app.outdir, f"{page}.md")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page_as_text(app.env, doctree, page))


def index(app, error):
    """The list of pages in the order of the contents, and all of them in one file."""
    if error or app.builder.name != "html":
        return
    toc = yaml.safe_load(Path(app.srcdir, "_toc.yml").read_text())
    root = Path(app.outdir, f"{toc['root']}.md").read_text().split("\n\n")
    about = next(block for block in root[1:] if block[0].isalpha())
    lines, whole = [f"# {app.config.html_title}\n\n> {' '.join(about.split())}\n"], []

    def add(name, level=0):
        lines.append(f"{'  ' * level}- [{app.env.titles[name].astext()}]({name}.md)")
        whole.append(f"<!-- {name}.md -->\n\n{Path(app.outdir, f'{name}.md').read_text()}")

    def walk(entries, level=0):
        for entry in entries:
            add(entry["file"], level)
            walk(entry.get("sections", ()), level + 1)

    add(toc["root"])
    for part in toc["parts"]:
        lines.append(f"\n## {part['caption']}\n")
        walk(part["chapters"])
    Path(app.outdir, "llms.txt").write_text("\n".join(lines) + "\n")
    Path(app.outdir, "llms-full.txt").write_text("\n".join(whole))


def setup(app):
    app.connect("doctree-resolved", keep, priority=100)
    app.connect("build-finished", index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
