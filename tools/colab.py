"""The Colab edition: every chapter as `colab/NN-name.ipynb` in plain Markdown, without outputs,
ready to run alone.

As an extension of Sphinx this leaves `_build/colab/` with the pages: written from the same resolved
pages, so that numbers, references and citations are the book's own. `python tools/colab.py` takes
them over into `colab/`.

A theorem or an admonition becomes a quotation with a bold title, a drop-down or a solution folds,
an equation carries its number as `\\tag`, a reference is the text that it has in the book, with a
link where it leads to another page. An exercise and each part of its solution are cells of their
own, with the exercise's label in their metadata. What has no form here is a warning, which fails
the build.
"""

import copy
import gc
import html
import itertools
import json
import pathlib
import posixpath
import re

import yaml
from docutils import nodes
from sphinx.locale import admonitionlabels
from sphinx.util import logging
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node, solution_node

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDED = {"hide-input", "hide-cell", "remove-input"}
KEPT = ("setup", "for-exercises", "raises-exception")
RULES = {"text-left": ":---", "text-center": ":---:", "text-right": "---:"}


class Addresses:
    """Where a page of the book is on the web: a chapter in its Colab edition, the rest as
    rendered, or in the repository.
    """

    def __init__(self, root=ROOT):
        config = yaml.safe_load((root / "_config.yml").read_text())
        self.root, self.site = root, config.get("html", {}).get("baseurl", "").rstrip("/")
        self.repository = config["repository"]["url"].rstrip("/")
        self.branch = config["repository"]["branch"]

    def __call__(self, page):
        if (self.root / f"{page}.ipynb").exists():
            repository = self.repository.replace("https://github.com", "github")
            file = f"colab/{page.split('/')[-1]}.ipynb"
            return f"https://colab.research.google.com/{repository}/blob/{self.branch}/{file}"
        if (self.root / page).is_file():  # a picture
            return f"{self.repository}/raw/{self.branch}/{page}"
        if self.site:
            return f"{self.site}/{page}.html"
        return f"{self.repository}/blob/{self.branch}/{page}.md"


def indented(text, mark):
    """`text` behind a mark: the next lines stand under its first."""
    return mark + re.sub(r"\n(?=.)", "\n" + " " * len(mark), text)


def quoted(text):
    """As a quotation, in which display mathematics must stand on one line."""
    text = re.sub(r"\$\$.+?\$\$", lambda m: " ".join(m[0].split()), text, flags=re.DOTALL)
    return re.sub(r"^> $", ">", re.sub(r"^", "> ", text, flags=re.MULTILINE), flags=re.MULTILINE)


def folded(title, body):
    return f"<details>\n<summary><b>{title}</b></summary>\n\n{body}\n\n</details>"


def fence(text, least):
    """Backticks that do not occur in the text."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


class Markdown:
    """Markdown of the nodes of a resolved page: a method for each kind of node, found by the name
    of its class or of one that it derives from.
    """

    def __init__(self, env, page, address):
        self.env, self.page, self.address = env, page, address

    def __call__(self, node):
        for kind in type(node).__mro__:
            if write := getattr(self, kind.__name__, None):
                return write(node)
        where = f"{node.tagname} ({' '.join(node.get('classes', ()))})"
        logging.getLogger(__name__).warning("no Markdown for %s", where, location=node)
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

    Inline = words

    def inline(self, node):
        """Citations lead to the end of the notebook: no link."""
        return node.astext() if "bibtex-citation" in node["classes"] else self.words(node)

    def Invisible(self, node):
        return ""

    def Text(self, node):
        special = r"[\\`*$]|<(?=[a-zA-Z/!?])|\](?=[(\[])|(?<!\w)_|_(?!\w)"
        return re.sub(special, r"\\\g<0>", node.astext())

    def emphasis(self, node):
        return f"*{self.words(node)}*"

    def strong(self, node):
        return f"**{self.words(node)}**"

    def literal(self, node):
        text, ticks = node.astext(), fence(node.astext(), 1)
        return f"{ticks} {text} {ticks}" if "`" in text else f"{ticks}{text}{ticks}"

    def math(self, node):
        return f"${node.astext()}$"

    def raised(self, node):
        return f"<{node.tagname[:3]}>{html.escape(node.astext())}</{node.tagname[:3]}>"

    subscript = superscript = raised

    def footnote_reference(self, node):
        return f"<sup>{node.astext()}</sup>"

    def raw(self, node):
        if "task-list-item-checkbox" in node.astext():
            return "[x] " if "checked=" in node.astext() else "[ ] "
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

    def paragraph(self, node):
        """No line begins with what would start a list, a heading or a quotation."""
        start = r"^(\d*)(?=[.)]\s)|^(?=[-+>]\s|#+\s)"
        return re.sub(start, r"\1\\", self.words(node), flags=re.MULTILINE)

    def rubric(self, node):
        return f"**{self.words(node)}**"

    term = rubric

    def transition(self, node):
        return "---"

    def math_block(self, node):
        body = re.sub(r"(?<!\\)%.*", "", node.astext()).strip("\n").rstrip()
        tag = f" \\tag{{{self.number(node)}}}" if node.get("number") else ""
        if node.get("nowrap"):  # an environment of LaTeX
            return re.sub(r"\s*\\end\{[^}]*\}$", lambda end: tag + end[0], body)
        return f"$$\n{body}{tag}\n$$" if "\n" in body else f"$${body}{tag}$$"

    def literal_block(self, node):
        ticks, language = fence(node.astext(), 3), node.get("language", "none")
        return f"{ticks}{language.replace('none', '')}\n{node.astext()}\n{ticks}"

    def bullet_list(self, node):
        return "\n".join(indented(self.blocks(item), "- ") for item in node)

    definition_list = bullet_list  # Markdown has none

    def enumerated_list(self, node):
        items = enumerate(node, node.get("start", 1))
        return "\n".join(indented(self.blocks(item), f"{n}. ") for n, item in items)

    def block_quote(self, node):
        return quoted(self.blocks(node))

    def footnote(self, node):
        return f"<sup>{node[0].astext()}</sup> {self.blocks(node[1:])}"

    def table(self, node):
        rows = list(node.findall(nodes.row))
        cell = lambda entry: self.blocks(entry).replace("|", r"\|").replace("\n", " ")
        rule = lambda entry: next((RULES[c] for c in entry["classes"] if c in RULES), "---")
        lines = [[cell(entry) for entry in row] for row in rows]
        lines.insert(1, [rule(entry) for entry in rows[0]])
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def caption(self, node):
        number, words = self.number(node.parent), " ".join(self.words(node).split())
        return f"**{number}** *{words}*" if number else f"*{words}*"

    def summary(self, node):
        """The title of what folds, in HTML."""
        return "".join(
            f"<code>{html.escape(n.astext())}</code>"
            if isinstance(n, nodes.literal)
            else self(n)
            if isinstance(n, nodes.math)
            else html.escape(n.astext())
            for n in node.children
        )

    def dropdown_main(self, node):
        (title,) = (t for t in node[0] if "sd-summary-text" in t["classes"])
        return folded(self.summary(title), self.blocks(node[1:]))

    def Admonition(self, node):
        """Theorems and exercises too."""
        named = isinstance(node[0], nodes.title)
        title = node[0] if named else nodes.Text(admonitionlabels.get(node.tagname, ""))
        body = self.blocks(node[1:] if named else node)
        if "dropdown" in node["classes"]:
            return folded(self.summary(title), body)
        number, words = self.number(node), (self.words(title) if named else title.astext())
        head = f"**{number}**{words}" if number else f"**{words}**" if words else ""
        text = f"{head}\n\n{body}".strip("\n")
        exercise = isinstance(node, (exercise_node, exercise_enumerable_node))
        return text if exercise or "proof" in node["classes"] and not head else quoted(text)

    def sidebar(self, node):
        return quoted(f"**{self.words(node[0]) or 'Aside'}**\n\n{self.blocks(node[1:])}")

    # the page

    def page_blocks(self, node, level=0, solution=None):
        """(number of the notebook's cell, exercise, exercise whose solution it is, Markdown) of
        each block of words on the page.
        """
        for child in node:
            if isinstance(child, nodes.section):
                yield from self.page_blocks(child, level + 1, solution)
            elif isinstance(child, solution_node):
                yield from self.page_blocks(child[1], level, child["target_label"])
            elif child.get("nb_element") != "cell_code":
                heading = isinstance(child, nodes.title)
                text = f"{'#' * level} {self.words(child)}" if heading else self(child)
                line = next(n.line for n in (*child.findall(), child.parent) if n.line)
                label = child["label"] if isinstance(child, exercise_enumerable_node) else None
                if text.strip():  # myst-nb counts 10,000 lines a cell
                    yield line // 10000 - 1, label, solution, text.strip("\n")


def code_cells(node):
    return {n["cell_index"]: n for n in node.findall(nodes.container) if "cell_index" in n}


def edition(env, doctree, page, address):
    """The notebook of a page in plain Markdown, as a dict."""
    write, solved, captions = Markdown(env, page, address), {}, {}
    numbers = {n["label"]: write.number(n) for n in doctree.findall(exercise_enumerable_node)}
    for node in doctree.findall(solution_node):
        solved |= dict.fromkeys(code_cells(node), node["target_label"])
    for i, node in code_cells(doctree).items():
        captions |= {i: write(caption) for caption in node.findall(nodes.caption)}
    blocks = [*write.page_blocks(doctree)]
    cells, told = [], set()

    def add(kind, source, name, **metadata):
        source = source.strip("\n").splitlines(keepends=True)
        code = {"execution_count": None, "outputs": []} if kind == "code" else {}
        cells.append({"cell_type": kind, "id": name, "metadata": metadata, "source": source} | code)

    for i, cell in enumerate(json.loads(pathlib.Path(env.doc2path(page)).read_text())["cells"]):
        source, tags = "".join(cell["source"]), cell["metadata"].get("tags", ())
        if cell["cell_type"] == "markdown":
            own = itertools.groupby((b for b in blocks if b[0] == i), key=lambda b: b[1:3])
            for k, ((exercise, solution), group) in enumerate(own):
                text = "\n\n".join(block[3] for block in group)
                if i == k == 0:
                    number = ".".join(map(str, env.toc_secnumbers[page][""]))
                    text = text.replace("# ", f"# {number}. ", 1)
                if solution:
                    more = ", continued" if solution in told else ""
                    text = folded(f"Solution to {numbers[solution]}{more}", text)
                    told.add(solution)
                marks = {"exercise": exercise} if exercise else {}
                marks |= {"solution": solution} if solution else {}
                add("markdown", text, cell["id"] + (f"-{k}" if k else ""), **marks)
            continue
        title, metadata = "", {"tags": [tag for tag in tags if tag in KEPT]}
        if "setup" in tags:
            source = f"# @title Set-up\n{source}"
        elif i in solved:
            title, metadata["solution"] = f"Solution to {numbers[solved[i]]}", solved[i]
            told.add(solved[i])
        elif FOLDED & set(tags):
            title = f"Code of {captions[i].split('**')[1]}" if i in captions else "Code"
        if title:
            source = f"# @title {title}\n{source}"
            metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
        add("code", source, cell["id"], **{k: v for k, v in metadata.items() if v})
        if i in captions:
            add("markdown", captions[i], f"{cell['id']}-caption")
    cite = env.get_domain("cite")
    refs = (ref for ref in cite.citation_refs if ref.docname == page)
    keys = {target.key for ref in refs for target in ref.targets}
    entries = [
        c.formatted_entry.text.render_as("markdown") for c in cite.citations if c.key in keys
    ]
    if entries:
        lines = sorted(" ".join(entry.replace(r"\.", ".").split()) for entry in entries)
        add("markdown", "## References\n\n- " + "\n- ".join(lines), "references")
    metadata = {
        "colab": {"provenance": [], "toc_visible": True},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def text_of(notebook):
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def keep(app, doctree, page):
    if app.builder.name == "html" and app.env.doc2path(page).endswith(".ipynb"):
        root = pathlib.Path(app.srcdir)
        path = pathlib.Path(app.outdir).parent / "colab" / f"{page.split('/')[-1]}.ipynb"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text_of(edition(app.env, doctree, page, Addresses(root))))


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


# the command


def wanted(root=ROOT):
    """{name: text} of the edition that the last build left, if it was one of the sources as they
    are.
    """
    build, book = root / "_build", root / "book"
    for path in [*book.rglob("*.md"), *book.glob("*.ipynb")]:
        built = build / "html" / "_sources" / path.relative_to(root)
        if not built.exists() or built.read_bytes() != path.read_bytes():
            raise SystemExit(f"{path.relative_to(root)} is newer than the pages: run.py book")
    return {f"{p.stem}.ipynb": (build / "colab" / p.name).read_text() for p in book.glob("*.ipynb")}


def out_of_step(root=ROOT):
    """Names of the files of colab/ that `main` would change."""
    stored = {path.name: path.read_text() for path in (root / "colab").glob("*.ipynb")}
    both = wanted(root), stored
    return sorted(n for n in both[0].keys() | stored if both[0].get(n) != stored.get(n))


def main(root=ROOT):
    new, changed = wanted(root), out_of_step(root)
    (root / "colab").mkdir(exist_ok=True)
    for name in changed:
        path = root / "colab" / name
        path.write_text(new[name]) if name in new else path.unlink()
    print(f"colab/ is in step with book/: wrote {', '.join(changed) or 'nothing'}")


def move(old, root=ROOT):
    """Give the stored edition the addresses of _config.yml, in place of those of `old`."""
    new, book = Addresses(root), root / "book"
    pages = [
        p.relative_to(root).with_suffix("") for k in ("md", "ipynb") for p in book.rglob(f"*.{k}")
    ]
    for path in (root / "colab").glob("*.ipynb"):
        text = path.read_text()
        for page in map(pathlib.Path.as_posix, pages):
            text = text.replace(f"]({old(page)})", f"]({new(page)})")
        notebook, chapter = json.loads(text), json.loads((book / path.name).read_text())
        sources = {cell["id"]: cell["source"] for cell in chapter["cells"]}
        for cell in notebook["cells"]:
            if "setup" in cell["metadata"].get("tags", ()):
                cell["source"] = ["# @title Set-up\n", *sources[cell["id"]]]
        path.write_text(text_of(notebook))


if __name__ == "__main__":
    main()
