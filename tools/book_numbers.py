"""The numbers of the built book, from Sphinx itself: what each reference reads as, what each label is called, the sources.

`read(ROOT)` lets Sphinx read the pages as `jupyter-book build` does, stops before it writes any, and asks it for the text of every
reference. Nothing is counted here.
"""

import io
import pathlib
import posixpath
import tempfile
from dataclasses import dataclass

from docutils import nodes
from jupyter_book.config import get_final_config
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

ROOT = pathlib.Path(__file__).resolve().parents[1]
CITES = {"cite": "cite:p", "cite:p": "cite:p", "cite:t": "cite:t", "cite:ps": "cite:p"}


@dataclass(frozen=True)
class Numbers:
    """Of all pages. A page is named as Sphinx does it, `book/05-moving-on-the-surface`."""

    titles: dict  # page -> "Moving on the surface"
    chapters: dict  # page -> "5", for numbered pages
    labels: dict  # label of an equation, theorem, exercise, figure -> "(5.3)", "Theorem 5.1", "Exercise 5.2", "Fig. 5.1"
    roles: dict  # "ref ch1-hull" -> (text in the book, page where it is, or None)
    references: dict  # key of references.bib -> Markdown of its entry

    def role(self, role, target):
        """(text, page) of a reference as the book shows it; KeyError where the book has no such reference."""
        return self.roles[f"{CITES.get(role, role)} {target.lower()}"]


def read(root=ROOT, doctrees=None):
    """The numbers of the book at `root`; `doctrees` of a finished build saves reading the pages again."""
    config, _ = get_final_config(user_yaml=root / "_config.yml", sourcedir=root, cli_config={"latex_individualpages": False})
    warnings = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, patch_docutils(), docutils_namespace():
        app = Sphinx(root, None, f"{folder}/html", doctrees or f"{folder}/doctrees", "html", config, status=None, warning=warnings)
        list(app.env.check_dependents(app, set(app.builder.read())))  # assigns the numbers
        if not app.env.toc_fignumbers:
            raise RuntimeError(f"Sphinx read no numbered page of {root}: {warnings.getvalue()[:2000]}")
        return _collect(app.env)


def _collect(env):
    dotted = lambda number: ".".join(map(str, number))
    titles = {page: title.astext() for page, title in env.titles.items()}
    chapters = {page: dotted(numbers[""]) for page, numbers in env.toc_secnumbers.items() if numbers.get("")}
    labels = {}
    for page, kinds in env.toc_fignumbers.items():
        for kind, numbers in kinds.items():
            for label, number in numbers.items():
                if kind == "displaymath":
                    labels[label.removeprefix("equation-")] = f"({dotted(number)})"  # lower case, as Sphinx makes ids
                else:
                    labels[label] = f"{ {'figure': 'Fig.', 'code-block': 'Listing'}.get(kind, kind.title())} {dotted(number)}"
    roles = {}
    for page in sorted(env.found_docs):
        if page.startswith("book/api/"):
            continue  # made from docstrings; nothing of it goes into a notebook
        doctree = env.get_doctree(page)
        boxes = []
        for node in list(doctree.findall(pending_xref)):
            box = nodes.inline()
            node.replace_self(box)
            box += node
            role = node["reftype"] if node["refdomain"] in ("std", "math", "", None) else f"{node['refdomain']}:{node['reftype']}"
            boxes.append((role, str(node["reftarget"]), bool(node.get("refexplicit")), box))
        env.apply_post_transforms(doctree, page)
        for role, target, explicit, box in boxes:
            links = [link.get("refuri", "") for link in box.findall(nodes.reference)]
            at = posixpath.normpath(posixpath.join(posixpath.dirname(page), links[0].split("#")[0].removesuffix(".html"))) if links and links[0] else page
            key = f"{role} {target.lower()}"
            if not explicit or key not in roles:
                roles[key] = (" ".join(box.astext().split()), at if at in titles else None)
    entries = {c.key: " ".join(c.formatted_entry.text.render_as("markdown").replace(r"\.", ".").split()) for c in env.get_domain("cite").citations}
    return Numbers(titles, chapters, labels, roles, entries)
