"""The Colab edition: every chapter as `colab/NN-name.ipynb` in plain Markdown, without outputs,
ready to run alone.

As an extension of Sphinx this leaves the notebooks in `downloads/colab/` of the pages, written from
the same resolved pages: numbers, references and citations are the book's own. `python
tools/colab.py` takes them over into `colab/`.

A theorem or an admonition becomes a quotation with a bold title, a drop-down or a solution folds,
an equation carries its number as `\\tag`, a reference is the text that it has in the book. An
exercise and each part of its solution are cells of their own, with its label in their metadata.
What has no form here is a warning, which fails the build.
"""

import copy
import filecmp
import functools
import gc
import html
import itertools
import pathlib
import posixpath
import re
import shutil
import textwrap

import nbformat
import yaml
from docutils import nodes
from sphinx.locale import admonitionlabels
from sphinx.util import logging
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node, solution_node

ROOT = pathlib.Path(__file__).resolve().parents[1]


@functools.cache
def address(page, root=ROOT):
    """Where a page is on the web: a chapter in this edition, the rest as rendered or as source."""
    config = yaml.safe_load((root / "_config.yml").read_text())
    url, branch = config["repository"]["url"].rstrip("/"), config["repository"]["branch"]
    if (root / f"{page}.ipynb").exists():
        repository = url.replace("https://github.com", "https://colab.research.google.com/github")
        return f"{repository}/blob/{branch}/colab/{page.split('/')[-1]}.ipynb"
    if (root / page).is_file():  # a picture
        return f"{url}/raw/{branch}/{page}"
    site = config.get("html", {}).get("baseurl", "").rstrip("/")
    return f"{site}/{page}.html" if site else f"{url}/blob/{branch}/{page}.md"


def listed(mark, text):
    """The text behind a mark: its other lines stand under the first."""
    return mark + textwrap.indent(text, " " * len(mark))[len(mark) :]


def quoted(text):
    """As a quotation, in which display mathematics must stand on one line."""
    text = re.sub(r"\$\$.+?\$\$", lambda m: " ".join(m[0].split()), text, flags=re.DOTALL)
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def folded(title, body):
    return f"<details>\n<summary><b>{title}</b></summary>\n\n{body}\n\n</details>"


def fence(text, least):
    """Backticks, more than the text has."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


def around(form):
    return lambda self, node: form.format(self.words(node))


class Markdown:
    """Markdown of the nodes of a resolved page, by their class or one that it derives from."""

    def __init__(self, env, page):
        self.env, self.page = env, page
        self.address = functools.partial(address, root=pathlib.Path(env.srcdir))

    def __call__(self, node):
        for kind in type(node).__mro__:
            if hasattr(self, kind.__name__):
                return getattr(self, kind.__name__)(node)
        logging.getLogger(__name__).warning("no Markdown for <%s>", node.tagname, location=node)
        return ""

    def words(self, node):
        return "".join(map(self, node))

    def blocks(self, nodes):
        return "\n\n".join(filter(None, (self(node).strip("\n") for node in nodes)))

    def number(self, node):
        """ "Theorem 5.1", "Exercise 5.2", "Fig. 5.3", "5.4" of an equation, or nothing."""
        kind = node.get("realtype", "").title()
        for counter, numbers in self.env.toc_fignumbers.get(self.page, {}).items():
            for name in filter(numbers.get, node["ids"]):
                form = f"{kind} %s" if kind else self.env.config.numfig_format.get(counter, "%s")
                return form % ".".join(map(str, numbers[name]))
        return kind

    # words

    Inline = title = PassthroughTextElement = words
    Invisible = sd_tab_input = lambda self, node: ""
    emphasis = around("*{}*")
    strong = rubric = term = sd_tab_label = around("**{}**")
    subscript = around("<sub>{}</sub>")
    superscript = footnote_reference = around("<sup>{}</sup>")
    math = lambda self, node: f"${node.astext()}$"

    def Text(self, node):
        special = r"[\\`*$]|<(?=[a-zA-Z/!?])|\](?=[(\[])|(?<!\w)_|_(?!\w)"
        return re.sub(special, r"\\\g<0>", node.astext())

    def inline(self, node):
        """The sources of citations stand at the end of the notebook: no link."""
        return node.astext() if "bibtex-citation" in node["classes"] else self.words(node)

    def literal(self, node):
        ticks, space = fence(node.astext(), 1), " " if "`" in node.astext() else ""
        return ticks + space + node.astext() + space + ticks

    def raw(self, node):
        if "task-list-item-checkbox" in node.astext():
            return "[x]" if "checked=" in node.astext() else "[ ]"
        return node.astext() if node["format"] == "html" else ""

    def reference(self, node):
        words, target = self.words(node), node.get("refuri", "")
        if node.get("internal"):
            path = posixpath.join(posixpath.dirname(self.page), target.partition("#")[0])
            page = posixpath.normpath(path).removesuffix(".html")
            target = self.address(page) if page in self.env.titles and page != self.page else ""
        return f"[{words}]({target})" if target else words

    def image(self, node):
        uri = node["uri"] if ":" in node["uri"] else self.address(node["uri"])
        return f"![{node.get('alt', '')}]({uri})"

    # blocks

    section = container = compound = figure = legend = proof_node = blocks
    definition = definition_list_item = blocks
    transition = lambda self, node: "---"
    block_quote = lambda self, node: quoted(self.blocks(node))
    footnote = lambda self, node: f"<sup>{node[0].astext()}</sup> {self.blocks(node[1:])}"

    def paragraph(self, node):
        """No line begins with what would start a list, a heading or a quotation."""
        start = r"^(\d*)(?=[.)]\s)|^(?=[-+>]\s|#+\s)"
        return re.sub(start, r"\1\\", self.words(node), flags=re.MULTILINE)

    def math_block(self, node):
        body = re.sub(r"(?<!\\)%.*", "", node.astext()).strip("\n").rstrip()
        tag = f" \\tag{{{self.number(node)}}}" if node.get("number") else ""
        if node.get("nowrap"):  # an environment of LaTeX
            return re.sub(r"\s*\\end\{[^}]*\}$", lambda end: tag + end[0], body)
        return f"$$\n{body}{tag}\n$$" if "\n" in body else f"$${body}{tag}$$"

    def literal_block(self, node):
        ticks, text = fence(node.astext(), 3), node.astext().rstrip("\n")
        return f"{ticks}{node.get('language', '').replace('default', '')}\n{text}\n{ticks}"

    def bullet_list(self, node):
        return "\n".join(listed("- ", self.blocks(item)) for item in node)

    definition_list = bullet_list  # Colab and JupyterLab have none

    def enumerated_list(self, node):
        items = enumerate(node, node.get("start", 1))
        return "\n".join(listed(f"{n}. ", self.blocks(item)) for n, item in items)

    def table(self, node):
        rows = list(node.findall(nodes.row))
        cell = lambda entry: self.blocks(entry).replace("|", r"\|").replace("\n", " ")
        lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
        return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])

    def caption(self, node):
        number, words = self.number(node.parent), " ".join(self.words(node).split())
        return f"**{number}** *{words}*" if number else f"*{words}*"

    def summary(self, title):
        """The title of what folds, which stands in HTML."""
        mark = {"literal": "<code>{}</code>", "math": "${}$"}
        return "".join(mark.get(n.tagname, "{}").format(html.escape(n.astext())) for n in title)

    def dropdown_main(self, node):
        (title,) = (t for t in node[0] if "sd-summary-text" in t["classes"])
        return folded(self.summary(title), self.blocks(node[1:]))

    def Admonition(self, node):
        label = nodes.title("", str(admonitionlabels.get(node.tagname, "")))
        title, body = (node[0], node[1:]) if isinstance(node[0], nodes.title) else (label, node)
        if "dropdown" in node["classes"]:
            return folded(self.summary(title), self.blocks(body))
        aside = "Aside" if isinstance(node, nodes.sidebar) else ""
        number, words = self.number(node), self.words(title) or aside
        head = f"**{number}**{words}" if number else f"**{words}**" if words else ""
        text = f"{head}\n\n{self.blocks(body)}".strip("\n")
        plain = isinstance(node, (exercise_node, exercise_enumerable_node))
        return text if plain or not head else quoted(text)

    sidebar = Admonition

    def of_page(self, node, level=0, solution=None):
        """(number of its cell, exercise, exercise whose solution it is, Markdown) of each block;
        of a code cell the Markdown is its figure's caption.
        """
        for child in node:
            if isinstance(child, nodes.section):
                yield from self.of_page(child, level + 1, solution)
            elif isinstance(child, solution_node):
                yield from self.of_page(child[1], level, child["target_label"])
            elif child.get("nb_element") == "cell_code":
                captions = map(self, child.findall(nodes.caption))
                yield child["cell_index"], None, solution, next(captions, "")
            else:
                text, number = self(child), self.env.toc_secnumbers.get(self.page, {}).get("")
                if isinstance(child, nodes.title):
                    number = f"{'.'.join(map(str, number))}. " if level == 1 and number else ""
                    text = f"{'#' * level} {number}{text}"
                line = next(n.line for n in (*child.findall(), child.parent) if n.line)
                label = child["label"] if isinstance(child, exercise_enumerable_node) else None
                if text.strip():  # myst-nb counts 10,000 lines a cell
                    yield line // 10000 - 1, label, solution, text.strip("\n")


def references(env, page):
    """The entries that a page cites."""
    cite = env.get_domain("cite")
    keys = {t.key for ref in cite.citation_refs if ref.docname == page for t in ref.targets}
    texts = (c.formatted_entry.text for c in cite.citations if c.key in keys)
    plain = lambda text: re.sub(r"\\([.()-])", r"\1", text.render_as("markdown"))
    return sorted(" ".join(plain(text).split()) for text in texts)


def new(kind, source, name, **marks):
    """A cell with the marks that are not empty."""
    marks = {mark: value for mark, value in marks.items() if value}
    return getattr(nbformat.v4, f"new_{kind}_cell")(source, id=name, metadata=marks)


def edition(env, doctree, page, kind=Markdown):
    """The notebook of a page in plain Markdown."""
    write, notebook = kind(env, page), nbformat.read(env.doc2path(page), 4)
    exercises = doctree.findall(exercise_enumerable_node)
    titles = {node["label"]: f"Solution to {write.number(node)}" for node in exercises}
    blocks, cells, begun = list(write.of_page(doctree)), [], set()
    for i, cell in enumerate(notebook.cells):
        own, tags = [b[1:] for b in blocks if b[0] == i], set(cell.metadata.get("tags", ()))
        if cell.cell_type == "code":
            _, solution, caption = own[0] if own else (None, None, "")
            marks, head = {"tags": sorted(tags & {"setup", "raises-exception"})}, ""
            if "setup" in tags:
                head = "# @title Set-up\n"
            elif solution or tags & {"hide-input", "hide-cell", "remove-input"}:
                title = titles.get(solution) or " of ".join(["Code", *caption.split("**")[1:2]])
                head, marks["cellView"] = f"# @title {title}\n", "form"
                marks["jupyter"] = {"source_hidden": True}
            cells.append(new("code", head + cell.source, cell.id, solution=solution, **marks))
            if caption:
                cells.append(new("markdown", caption, f"{cell.id}-caption"))
            begun.add(solution)
            continue
        parts = itertools.groupby(own, key=lambda block: block[:2])
        for k, ((exercise, solution), group) in enumerate(parts):
            text = "\n\n".join(block[2] for block in group)
            if solution:
                more = ", continued" if solution in begun else ""
                text = folded(titles[solution] + more, text)
            marks = {"exercise": exercise} if exercise else {"solution": solution}
            cells.append(new("markdown", text, f"{cell.id}-{k}" if k else cell.id, **marks))
            begun.add(solution)
    if entries := references(env, page):
        cells.append(new("markdown", "## References\n\n- " + "\n- ".join(entries), "references"))
    notebook.cells, notebook.metadata.colab = cells, {"provenance": [], "toc_visible": True}
    return notebook


def keep(app, doctree, page):
    source = pathlib.Path(app.env.doc2path(page))
    if app.builder.name == "html" and source.suffix == ".ipynb":
        path = pathlib.Path(app.outdir, "downloads", "colab", source.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(edition(app.env, doctree, page), path)


def renumbered(app, env):
    """Where a number has changed, every page is written anew: any may refer to it."""
    now = env.toc_secnumbers, env.toc_fignumbers
    before, env.book_numbers = getattr(env, "book_numbers", now), copy.deepcopy(now)
    return [] if before == now else env.found_docs


def setup(app):
    # it would look through millions of nodes again and again for cycles: half the time of a build
    gc.disable()
    app.connect("env-get-updated", renumbered, priority=900)
    app.connect("doctree-resolved", keep, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def out_of_step(root=ROOT):
    """Files of colab/ that are not what the last build left; an error if it read other sources."""
    pages, chapters = root / "_build" / "html", [*(root / "book").glob("*.ipynb")]
    for path in [*(root / "book").rglob("*.md"), *chapters]:
        read = pages / "_sources" / path.relative_to(root)
        if not read.exists() or read.read_bytes() != path.read_bytes():
            raise SystemExit(f"{path.relative_to(root)} is not as it was built: run.py book")
    new, old, names = pages / "downloads" / "colab", root / "colab", {p.name for p in chapters}
    _, differ, missing = filecmp.cmpfiles(new, old, names, shallow=False)
    return sorted({*differ, *missing, *{path.name for path in old.glob("*.ipynb")} - names})


def main(root=ROOT):
    changed = out_of_step(root)
    for name in changed:
        (root / "colab" / name).unlink(missing_ok=True)
        if (root / "book" / name).exists():
            shutil.copy(root / "_build" / "html" / "downloads" / "colab" / name, root / "colab")
    print(f"colab/ is in step with book/: wrote {', '.join(changed) or 'nothing'}")


if __name__ == "__main__":
    main()
