"""The numbers of the built book, from Sphinx itself: what each reference reads as, what each label
is called, the sources.

A build leaves them in `_build/numbers.json` (this file is one of the book's Sphinx extensions).
`read(ROOT)` takes them from there
as long as no source has changed since; else it lets Sphinx read the pages as `jupyter-book build`
does, with the same
configuration, and stops before it writes any. Nothing is counted here.
"""

import gc
import hashlib
import io
import json
import pathlib
import posixpath
import tempfile
from dataclasses import asdict, dataclass

from docutils import nodes
from jupyter_book.config import get_final_config
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import docutils_namespace, patch_docutils

ROOT = pathlib.Path(__file__).resolve().parents[1]
CITES = {"cite": "cite:p", "cite:p": "cite:p", "cite:t": "cite:t", "cite:ps": "cite:p"}


@dataclass(frozen=True)
class Numbers:
    """Of all pages. A page is named as Sphinx does it, `book/05-moving-on-the-surface`."""

    titles: dict  # page -> "Moving on the surface"
    chapters: dict  # page -> "5", for numbered pages
    # label of an equation, theorem, exercise, figure -> "(5.3)", "Theorem 5.1", "Exercise 5.2",
    # "Fig. 5.1"
    labels: dict
    roles: dict  # "ref ch1-hull" -> (text in the book, page where it is, or None)
    references: dict  # key of references.bib -> Markdown of its entry

    def role(self, role, target):
        """(text, page) of a reference as the book shows it; KeyError where the book has no such
        reference.
        """
        return self.roles[f"{CITES.get(role, role)} {target.lower()}"]


def fingerprint(root=ROOT):
    """What the numbers follow from: every source of a page, the configuration, the extensions."""
    files = [
        root / "_config.yml",
        root / "_toc.yml",
        *(path for kind in ("md", "ipynb", "bib") for path in (root / "book").rglob(f"*.{kind}")),
        *(root / "tools").glob("*.py"),
    ]
    digest = hashlib.sha256()
    for path in sorted(
        path for path in files if path.exists() and ".ipynb_checkpoints" not in path.parts
    ):
        digest.update(
            path.relative_to(root).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest()
        )
    return digest.hexdigest()


def stored(root=ROOT):
    """The numbers of the last build, or None if a source has changed since."""
    path = root / "_build" / "numbers.json"
    held = json.loads(path.read_text()) if path.exists() else {}
    return Numbers(**held["numbers"]) if held.get("fingerprint") == fingerprint(root) else None


def read(root=ROOT):
    """The numbers of the book at `root`."""
    if numbers := stored(root):
        return numbers
    config, _ = get_final_config(
        user_yaml=root / "_config.yml", sourcedir=root, cli_config={"latex_individualpages": False}
    )
    warnings = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, patch_docutils(), docutils_namespace():
        app = Sphinx(
            root,
            None,
            f"{folder}/html",
            f"{folder}/doctrees",
            "html",
            config,
            status=None,
            warning=warnings,
        )
        list(app.env.check_dependents(app, set(app.builder.read())))  # assigns the numbers
        if not app.env.toc_fignumbers:
            raise RuntimeError(
                f"Sphinx read no numbered page of {root}: {warnings.getvalue()[:2000]}"
            )
        return store(app.env, root)


def store(env, root, pages=None):
    pages = pages or {page: _references(env, page) for page in _pages(env)}
    numbers, path = _collect(env, pages), root / "_build" / "numbers.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps({"fingerprint": fingerprint(root), "numbers": asdict(numbers), "pages": pages})
    )
    return numbers


def _pages(env):
    return sorted(
        page for page in env.found_docs if not page.startswith("book/api/")
    )  # made from docstrings; nothing of it goes into a notebook


def _references(env, page):
    """[[role, target, whether it has words of its own, text, page where it leads or None], …] of a
    page, by resolving it once more.
    """
    doctree = env.get_doctree(page)
    boxes = _boxed(doctree)
    env.apply_post_transforms(doctree, page)
    return [_read(env, page, box) for box in boxes]


def _boxed(doctree):
    """Each reference in a box that says what it was, and that holds what it becomes."""
    boxes = []
    for node in list(doctree.findall(pending_xref)):
        box = nodes.inline()
        box["was"] = [
            node["reftype"]
            if node["refdomain"] in ("std", "math", "", None)
            else f"{node['refdomain']}:{node['reftype']}",
            str(node["reftarget"]),
            bool(node.get("refexplicit")),
        ]
        node.replace_self(box)
        box += node
        boxes.append(box)
    return boxes


def _read(env, page, box):
    links = [link.get("refuri", "") for link in box.findall(nodes.reference)]
    at = (
        posixpath.normpath(
            posixpath.join(posixpath.dirname(page), links[0].split("#")[0].removesuffix(".html"))
        )
        if links and links[0]
        else page
    )
    return [*box["was"], " ".join(box.astext().split()), at if at in env.titles else None]


class Box(SphinxPostTransform):
    """Before Sphinx resolves the references of a page that it writes: put each in its box. `unbox`
    reads them and takes the boxes away.
    """

    default_priority = 1  # the resolver has 10

    def run(self, **kwargs):
        if self.app.builder.name == "html" and hasattr(self.app, "book_references"):
            _boxed(self.document)


def unbox(app, doctree, page):
    boxes = [box for box in doctree.findall(nodes.inline) if "was" in box]
    if hasattr(app, "book_references"):
        app.book_references[page] = [_read(app.env, page, box) for box in boxes]
        for box in boxes:
            box.replace_self(box.children)


def begin(app):
    app.book_references = {}


def keep(app, error):
    """The references of the pages that were written just now, and of the others as the last build
    left them.
    """
    if error or app.builder.name != "html":
        return
    root = pathlib.Path(app.srcdir)
    path = root / "_build" / "numbers.json"
    pages = (
        json.loads(path.read_text()).get("pages", {}) if path.exists() else {}
    ) | app.book_references
    wanted = _pages(app.env)
    del app.book_references
    store(
        app.env,
        root,
        {page: pages[page] for page in wanted} if pages.keys() >= set(wanted) else None,
    )


def setup(app):
    # it would look through millions of nodes again and again for cycles: half of the time of a
    # build
    gc.disable()
    app.connect("builder-inited", begin)
    app.add_post_transform(Box)
    app.connect("doctree-resolved", unbox, priority=100)
    app.connect("build-finished", keep)
    return {"parallel_read_safe": True, "parallel_write_safe": False}


def _collect(env, pages):
    dotted = lambda number: ".".join(map(str, number))
    titles = {page: title.astext() for page, title in env.titles.items()}
    chapters = {
        page: dotted(numbers[""]) for page, numbers in env.toc_secnumbers.items() if numbers.get("")
    }
    labels = {}
    for page, kinds in env.toc_fignumbers.items():
        for kind, numbers in kinds.items():
            for label, number in numbers.items():
                if kind == "displaymath":
                    labels[label.removeprefix("equation-")] = (
                        f"({dotted(number)})"  # lower case, as Sphinx makes ids
                    )
                else:
                    labels[label] = (
                        f"{ {'figure': 'Fig.', 'code-block': 'Listing'}.get(kind, kind.title()) } "
                        f"{dotted(number)}"
                    )
    roles = {}
    for page in sorted(pages):
        for role, target, explicit, text, at in pages[page]:
            key = f"{role} {target.lower()}"
            if not explicit or key not in roles:
                roles[key] = (text, at)
    entries = {
        c.key: " ".join(c.formatted_entry.text.render_as("markdown").replace(r"\.", ".").split())
        for c in env.get_domain("cite").citations
    }
    return Numbers(titles, chapters, labels, roles, entries)
