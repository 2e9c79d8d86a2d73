"""The Colab edition: every chapter as `colab/NN-name.ipynb` in plain Markdown, without outputs,
ready to run alone.

As an extension of Sphinx this leaves `_build/colab/` with the pages, written from the same resolved
pages: numbers, references and citations are the book's own. `python tools/colab.py` takes it over.

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
import pathlib
import posixpath
import re

import nbformat
import yaml
from docutils import nodes
from sphinx.locale import admonitionlabels
from sphinx.util import logging
from sphinx_exercise.nodes import exercise_enumerable_node, exercise_node, solution_node

ROOT = pathlib.Path(__file__).resolve().parents[1]
# what becomes of the words in a node, by the name of its class or of one that it derives from
WORDS = {"emphasis": "*{}*", "strong": "**{}**", "rubric": "**{}**", "term": "**{}**"}
WORDS |= {"subscript": "<sub>{}</sub>", "superscript": "<sup>{}</sup>", "transition": "---"}
WORDS |= {"footnote_reference": "<sup>{}</sup>", "Inline": "{}", "title": "{}", "Invisible": ""}
WORDS |= {
    "PassthroughTextElement": "{}",
    "sd_tab_label": "**{}**",
    "sd_tab_input": "",
}  # cards, tabs
BLOCKS = {"section", "container", "compound", "figure", "legend", "proof_node", "definition"}
BLOCKS |= {"definition_list_item"}


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
        source = f"{self.repository}/blob/{self.branch}/{page}.md"
        return f"{self.site}/{page}.html" if self.site else source


def dotted(number):
    return ".".join(map(str, number))


def indented(mark, text):
    """The text behind a mark: its other lines stand under the first."""
    return mark + re.sub(r"\n(?=.)", "\n" + " " * len(mark), text)


def quoted(text):
    """As a quotation, in which display mathematics must stand on one line."""
    text = re.sub(r"\$\$.+?\$\$", lambda m: " ".join(m[0].split()), text, flags=re.DOTALL)
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def folded(title, body):
    return f"<details>\n<summary><b>{title}</b></summary>\n\n{body}\n\n</details>"


def fence(text, least):
    """Backticks, more than the text has."""
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))


class Markdown:
    """Markdown of the nodes of a resolved page; nodes of other kinds than WORDS and BLOCKS have a
    method.
    """

    def __init__(self, env, page, address):
        self.env, self.page, self.address = env, page, address

    def __call__(self, node):
        for name in (kind.__name__ for kind in type(node).__mro__):
            if hasattr(self, name):
                return getattr(self, name)(node)
            if name in WORDS:
                return WORDS[name].format(self.words(node))
            if name in BLOCKS:
                return self.blocks(node)
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
                return form % dotted(numbers[name])
        return kind

    # words

    def Text(self, node):
        special = r"[\\`*$]|<(?=[a-zA-Z/!?])|\](?=[(\[])|(?<!\w)_|_(?!\w)"
        return re.sub(special, r"\\\g<0>", node.astext())

    def inline(self, node):
        """The sources of citations stand at the end of the notebook: no link."""
        return node.astext() if "bibtex-citation" in node["classes"] else self.words(node)

    def literal(self, node):
        ticks, space = fence(node.astext(), 1), " " if "`" in node.astext() else ""
        return ticks + space + node.astext() + space + ticks

    def math(self, node):
        return f"${node.astext()}$"

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
        return "\n".join(indented("- ", self.blocks(item)) for item in node)

    definition_list = bullet_list  # Colab and JupyterLab have none

    def enumerated_list(self, node):
        items = enumerate(node, node.get("start", 1))
        return "\n".join(indented(f"{n}. ", self.blocks(item)) for n, item in items)

    def block_quote(self, node):
        return quoted(self.blocks(node))

    def footnote(self, node):
        return f"<sup>{node[0].astext()}</sup> {self.blocks(node[1:])}"

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
        """Theorems and exercises too."""
        label = nodes.title("", str(admonitionlabels.get(node.tagname, "")))
        title, body = (node[0], node[1:]) if isinstance(node[0], nodes.title) else (label, node)
        if "dropdown" in node["classes"]:
            return folded(self.summary(title), self.blocks(body))
        number, words = self.number(node), self.words(title)
        head = f"**{number}**{words}" if number else f"**{words}**" if words else ""
        text = f"{head}\n\n{self.blocks(body)}".strip("\n")
        plain = isinstance(node, (exercise_node, exercise_enumerable_node))
        return text if plain or not head else quoted(text)

    def sidebar(self, node):
        return quoted(f"**{self.words(node[0]) or 'Aside'}**\n\n{self.blocks(node[1:])}")

    def of_page(self, node, level=0, solution=None):
        """(number of the notebook's cell, exercise, exercise whose solution it is, Markdown) of
        each block on the page but code.
        """
        for child in node:
            if isinstance(child, nodes.section):
                yield from self.of_page(child, level + 1, solution)
            elif isinstance(child, solution_node):
                yield from self.of_page(child[1], level, child["target_label"])
            elif child.get("nb_element") != "cell_code":
                text, number = self(child), self.env.toc_secnumbers[self.page].get("")
                if isinstance(child, nodes.title):
                    number = f"{dotted(number)}. " if level == 1 and number else ""
                    text = f"{'#' * level} {number}{text}"
                line = next(n.line for n in (*child.findall(), child.parent) if n.line)
                label = child["label"] if isinstance(child, exercise_enumerable_node) else None
                if text.strip():  # myst-nb counts 10,000 lines a cell
                    yield line // 10000 - 1, label, solution, text.strip("\n")


def code_cells(node):
    return {n["cell_index"]: n for n in node.findall(nodes.container) if "cell_index" in n}


def references(env, page):
    """The entries that a page cites."""
    cite = env.get_domain("cite")
    keys = {t.key for ref in cite.citation_refs if ref.docname == page for t in ref.targets}
    texts = (c.formatted_entry.text for c in cite.citations if c.key in keys)
    plain = lambda text: re.sub(r"\\([.()-])", r"\1", text.render_as("markdown"))
    return sorted(" ".join(plain(text).split()) for text in texts)


def edition(env, doctree, page, address):
    """The notebook of a page in plain Markdown."""
    write, cells, begun = Markdown(env, page, address), [], set()
    titles = {
        node["label"]: f"Solution to {write.number(node)}"
        for node in doctree.findall(exercise_enumerable_node)
    }
    solved, captions = {}, {}
    for node in doctree.findall(solution_node):
        solved |= dict.fromkeys(code_cells(node), node["target_label"])
    for i, node in code_cells(doctree).items():
        captions |= {i: write(caption) for caption in node.findall(nodes.caption)}
    words = itertools.groupby(write.of_page(doctree), key=lambda block: block[:3])
    words = [(*where, "\n\n".join(block[3] for block in blocks)) for where, blocks in words]
    for i, cell in enumerate(nbformat.read(env.doc2path(page), 4).cells):
        own, tags = [part[1:] for part in words if part[0] == i], set(cell.metadata.get("tags", ()))
        for k, (exercise, solution, text) in enumerate(own):
            if solution:
                more = ", continued" if solution in begun else ""
                text = folded(titles[solution] + more, text)
            marks = {"exercise": exercise} if exercise else {"solution": solution}
            cells.append(markdown(text, f"{cell.id}-{k}" if k else cell.id, **marks))
            begun.add(solution)
        if cell.cell_type == "code":
            figure, solution = captions.get(i, "").split("**")[1:2], solved.get(i)
            title = titles[solution] if solution else " of ".join(["Code", *figure])
            marks = {"tags": sorted(tags & {"setup", "raises-exception"}), "solution": solution}
            if "setup" in tags:
                cell.source = f"# @title Set-up\n{cell.source}"
            elif solution or tags & {"hide-input", "hide-cell", "remove-input"}:
                cell.source = f"# @title {title}\n{cell.source}"
                marks |= {"cellView": "form", "jupyter": {"source_hidden": True}}
            marks = {name: mark for name, mark in marks.items() if mark}
            cells.append(nbformat.v4.new_code_cell(cell.source, id=cell.id, metadata=marks))
            begun.add(solution)
        if i in captions:
            cells.append(markdown(captions[i], f"{cell.id}-caption"))
    if entries := references(env, page):
        cells.append(markdown("## References\n\n- " + "\n- ".join(entries), "references"))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"colab": {"provenance": [], "toc_visible": True}, "kernelspec": kernel}
    metadata |= {"language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def markdown(text, name, **marks):
    marks = {name: mark for name, mark in marks.items() if mark}
    return nbformat.v4.new_markdown_cell(text.strip("\n"), id=name, metadata=marks)


def keep(app, doctree, page):
    if app.builder.name == "html" and app.env.doc2path(page).endswith(".ipynb"):
        path = pathlib.Path(app.outdir).parent / "colab" / f"{page.split('/')[-1]}.ipynb"
        path.parent.mkdir(exist_ok=True)
        address = Addresses(pathlib.Path(app.srcdir))
        nbformat.write(edition(app.env, doctree, page, address), path)


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


def built(root=ROOT):
    """{name: text} of what the last build left; an error if the sources are not what it read."""
    pages = root / "_build" / "html" / "_sources"
    for path in [*(root / "book").rglob("*.md"), *(root / "book").glob("*.ipynb")]:
        read = pages / path.relative_to(root)
        if not read.exists() or read.read_bytes() != path.read_bytes():
            raise SystemExit(f"{path.relative_to(root)} is not as it was built: run.py book")
    names = [path.name for path in (root / "book").glob("*.ipynb")]
    return {name: (root / "_build" / "colab" / name).read_text() for name in names}


def out_of_step(root=ROOT):
    """Names of the files of colab/ that `main` would change."""
    new, stored = built(root), {p.name: p.read_text() for p in (root / "colab").glob("*.ipynb")}
    return sorted(name for name in new.keys() | stored if new.get(name) != stored.get(name))


def main(root=ROOT):
    changed, new = out_of_step(root), built(root)
    for name in changed:
        path = root / "colab" / name
        path.write_text(new[name]) if name in new else path.unlink()
    print(f"colab/ is in step with book/: wrote {', '.join(changed) or 'nothing'}")


def move(old, root=ROOT):
    """Give the stored edition the addresses of _config.yml, in place of those of `old`."""
    new, book = Addresses(root), root / "book"
    pages = [f"book/{path.stem}" for path in [*book.glob("*.md"), *book.glob("*.ipynb")]]
    for path in (root / "colab").glob("*.ipynb"):
        text, chapter = path.read_text(), nbformat.read(book / path.name, 4)
        for page in pages:
            text = text.replace(f"]({old(page)})", f"]({new(page)})")
        notebook, sources = nbformat.reads(text, 4), {c.id: c.source for c in chapter.cells}
        for cell in notebook.cells:
            if "setup" in cell.metadata.get("tags", ()):
                cell.source = f"# @title Set-up\n{sources[cell.id]}"
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
