"""Sphinx extension of this book: the claims of the paper as data, shown where a page asks for them.

book/claims.yml has one entry a claim; its first lines say what the fields are. The directive
`claims` names a macro of book/_templates/claims.jinja and what to show: a number the table of that
chapter, `ledger` and `errata` the cards of some sections, `filter`, `counts`, `runs` and `settings`
what their names say. The macro writes MyST, which is read as if it stood on the page, so that every
edition has it, and nothing that is made is committed.
"""

import json
from pathlib import Path

import jinja2
import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[1]
DATA, TEMPLATE = "book/claims.yml", "book/_templates/claims.jinja"
VERDICTS = ("holds", "holds with conditions", "does not hold", "open")


def claims(root=ROOT):
    """{section: [claim, …]} as in the file."""
    return yaml.safe_load((root / DATA).read_text())


def chapters(root=ROOT):
    """{number: name of the file} of the chapters."""
    paths = sorted((root / "book").glob("[0-9][0-9]-*.ipynb"))
    return {int(path.name[:2]): path.name for path in paths}


def result(name, root=ROOT):
    """What a stored run left in `results/`."""
    return json.loads((root / "results" / name).read_text())


def cell(text):
    """Text for one cell of a table."""
    return " ".join(str(text).replace("|", r"\|").split())


class Missing(jinja2.Undefined):
    """A field that a claim need not have: it may be asked for, and not be shown."""

    __str__ = jinja2.Undefined._fail_with_undefined_error


def rendered(kind, *names, root=ROOT):
    """The MyST that a directive stands for."""
    data = claims(root)
    shown = [claim for name in names or data for claim in data[name]] if kind != "chapter" else []
    if kind == "chapter":
        shown = [c for section in data.values() for c in section if int(names[0]) in c["places"]]
        shown.sort(key=lambda claim: min(claim["places"]) != int(names[0]))  # its own first
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=Missing)
    environment.filters["cell"] = cell
    environment.globals |= dict(VERDICTS=VERDICTS, files=chapters(root))
    environment.globals["result"] = lambda name: result(name, root)
    environment.filters["stored"] = environment.globals["result"]
    template = environment.from_string((root / TEMPLATE).read_text())
    return str(getattr(template.module, kind)(shown, *names[: kind == "chapter"]))


class Claims(SphinxDirective):
    required_arguments, optional_arguments = 1, 20

    def run(self):
        root, (kind, *names) = Path(self.env.srcdir), self.arguments
        kind, names = ("chapter", [kind]) if kind.isdigit() else (kind, names)
        for path in (DATA, TEMPLATE, *(f"results/{p.name}" for p in root.glob("results/*.json"))):
            self.env.note_dependency(str(root / path))
        text, found = rendered(kind, *names, root=root), nodes.Element()
        lines = StringList(text.splitlines(), source=self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, found)
        for table in found.findall(nodes.table):
            table["classes"].append("claims" if kind == "chapter" else "data")
            for row in table.findall(nodes.row) if kind == "chapter" else ():
                row["classes"].append(row[0].astext().strip().replace(" ", "-"))
        return found.children


def setup(app):
    app.add_directive("claims", Claims)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
