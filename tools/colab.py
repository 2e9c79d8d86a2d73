"""The Colab edition: every chapter as `colab/NN-name.ipynb` in plain Markdown, without outputs,
ready to run alone.

python tools/colab.py            write colab/
python tools/colab.py --check    say which files are out of step with book/
"""

import json
import pathlib
import sys

import myst
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
FOLDED = ("hide-input", "hide-cell", "remove-input")


class Addresses:
    """Where a page of the book is on the web: a chapter in its Colab edition, the rest as
    rendered,
    or in the repository.
    """

    def __init__(self, root=ROOT):
        config = yaml.safe_load((root / "_config.yml").read_text())
        self.root, self.book = root, config.get("html", {}).get("baseurl", "").rstrip("/")
        self.repository, self.branch = (
            config["repository"]["url"].rstrip("/"),
            config["repository"]["branch"],
        )

    def __call__(self, page):
        if (self.root / f"{page}.ipynb").exists():
            return f"https://colab.research.google.com/{self.repository.replace('https://github.com', 'github')}/blob/{self.branch}/colab/{page.split('/')[-1]}.ipynb"  # noqa: E501
        if (self.root / page).is_file():  # a picture
            return f"{self.repository}/raw/{self.branch}/{page}"
        return (
            f"{self.book}/{page}.html"
            if self.book
            else f"{self.repository}/blob/{self.branch}/{page}.md"
        )


def edition(path, numbers, link):
    """The notebook at `path` in plain Markdown, as a dict."""
    page = f"book/{path.stem}"
    chapter, cells, keys, inside = json.loads(path.read_text()), [], [], None
    for i, cell in enumerate(chapter["cells"]):
        text, where = "".join(cell["source"]), f"{path.name}, cell {i}"
        render = lambda s: myst.plain(s, numbers, page, where, link=link)
        if cell["cell_type"] == "markdown":
            plain = myst.plain(text, numbers, page, where, inside, link)
            inside = myst.solution_after(text, inside)
            keys += [key for key in myst.cited(text) if key not in keys]
            if i == 0:
                plain = plain.replace("# ", f"# {numbers.chapters[page]}. ", 1)
            if plain.strip():
                cells.append(_markdown(plain, cell["id"]))
            continue
        label, caption = myst.caption(cell)
        number, tags = numbers.labels.get(label), cell["metadata"].get("tags", [])
        title = None
        if "setup" in tags:
            title = "Set-up"
        elif inside:
            title = f"Solution to {numbers.labels[inside]}"
        elif any(tag in tags for tag in FOLDED):
            title = f"Code of {number}" if number else "Code"
        if title:
            text = f"# @title {title}\n{text}"
        cells.append(_code(text, cell["id"], tags, folded=title and title != "Set-up"))
        if caption:
            words = " ".join(render(caption).split())
            cells.append(
                _markdown(
                    f"**{number}** *{words}*" if number else f"*{words}*", f"{cell['id']}-caption"
                )
            )
    if keys:
        entries = sorted(numbers.references[key] for key in keys)
        cells.append(
            _markdown(
                "## References\n\n" + "\n".join(f"- {entry}" for entry in entries), "references"
            )
        )
    metadata = {
        "colab": {"provenance": [], "toc_visible": True},
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _lines(text):
    return text.strip("\n").splitlines(keepends=True)


def _markdown(text, id):
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": _lines(text)}


def _code(text, id, tags, folded):
    metadata = (
        {"tags": kept}
        if (kept := [tag for tag in tags if tag in ("setup", "raises-exception")])
        else {}
    )
    if folded:
        metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": id,
        "metadata": metadata,
        "outputs": [],
        "source": _lines(text),
    }


def editions(numbers, root=ROOT):
    """name -> text of every file of colab/."""
    link = Addresses(root)
    return {
        path.name: json.dumps(edition(path, numbers, link), indent=1, ensure_ascii=False) + "\n"
        for path in sorted((root / "book").glob("*.ipynb"))
    }


def out_of_step(numbers, root=ROOT):
    """Names of the files of colab/ that `main` would change."""
    wanted = editions(numbers, root)
    stored = {path.name: path.read_text() for path in (root / "colab").glob("*.ipynb")}
    return sorted(
        name for name in wanted.keys() | stored.keys() if wanted.get(name) != stored.get(name)
    )


def main(check=False, root=ROOT):
    import book_numbers

    numbers = book_numbers.read(root)
    wrong = out_of_step(numbers, root)
    if check and wrong:
        raise SystemExit(
            f"out of step with book/: colab/{', colab/'.join(wrong)}; run python tools/colab.py"
        )
    wanted, folder = editions(numbers, root), root / "colab"
    folder.mkdir(exist_ok=True)
    for name in wrong:
        (folder / name).write_text(wanted[name]) if name in wanted else (folder / name).unlink()
    print(
        f"colab/ is in step with book/: {len(wanted)} notebooks"
        + (f"; wrote {', '.join(wrong)}" if wrong else "")
    )


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
