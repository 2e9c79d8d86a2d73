"""The built book as files: complete, self-contained, and with links to Colab that lead to the
notebooks. Needs no browser.
"""

import gzip
import json
import re
from html.parser import HTMLParser

import pytest
import yaml

from serving import HTML, ROOT

if not HTML.exists():
    pytest.skip(f"no built book in {HTML}: run `python3 run.py book`", allow_module_level=True)


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def built():
    return sorted(path for path in HTML.rglob("*.html") if "_static" not in path.parts)


def test_every_page_of_the_contents_is_built():
    wanted = re.findall(r"(?:file|root): (\S+)", (ROOT / "_toc.yml").read_text())
    assert len(wanted) > 10 and not [
        name for name in wanted if not (HTML / f"{name}.html").exists()
    ]


@pytest.mark.parametrize("path", built(), ids=lambda path: path.relative_to(HTML).as_posix())
def test_nothing_is_loaded_from_elsewhere(path):
    """Links that a reader may click are free to leave the book; what a page loads by itself is
    not.
    """
    tags = Tags(path.read_text()).tags
    loaded = [
        a.get("src")
        for t, a in tags
        if t in ("script", "img", "iframe", "audio", "video", "source", "embed")
    ]
    loaded += [
        a.get("href")
        for t, a in tags
        if t == "link"
        and a.get("rel") not in ("canonical", "next", "prev", "search", "index", "author")
    ]
    assert not [url for url in loaded if url and re.match(r"(https?:)?//", url)]


def test_pages_can_be_served_below_any_path():
    """Every link inside the book is relative to its page."""
    for path in built():
        rooted = [
            a[key]
            for _, a in Tags(path.read_text()).tags
            for key in ("href", "src")
            if (a.get(key) or "").startswith("/")
        ]
        assert not rooted, f"{path.name}: {rooted[:3]}"


def test_no_style_sheet_loads_from_elsewhere():
    for path in HTML.rglob("*.css"):
        assert not re.search(
            r"(@import\s+['\"]|url\(\s*['\"]?)(https?:)?//", path.read_text(errors="replace")
        ), path.name


@pytest.mark.parametrize(
    "path", sorted((HTML / "book").glob("[0-9]*.html")), ids=lambda path: path.stem
)
def test_a_chapter_is_light(path):
    """At most 1.5 MB over the line, text compressed as hosts do, all frames of its live figures
    included and MathJax aside.
    """
    tags = Tags(path.read_text()).tags
    files = {a["src"] for t, a in tags if t in ("script", "img") and a.get("src")} | {
        a["href"] for t, a in tags if t == "link" and a.get("rel") in ("stylesheet", "preload")
    }
    files = {
        (path.parent / name.partition("?")[0]).resolve()
        for name in files
        if "/mathjax/" not in name and not name.startswith("data:")
    }
    weight = lambda file: (
        file.stat().st_size
        if file.suffix in (".webp", ".png")
        else len(gzip.compress(file.read_bytes()))
    )
    total = sum(map(weight, files | {path}))
    assert total < 1.5e6, (
        f"{total / 1e6:.2f} MB; the heaviest: "
        f"{sorted(((weight(f), f.name) for f in files), reverse=True)[:4]}"
    )


def test_pictures_say_their_size_and_are_files():
    """Every picture of a page with room kept for it, none as a data URI."""
    shown = set()
    for path in built():
        for tag, a in Tags(path.read_text()).tags:
            if tag == "img" and "/_static/" not in a["src"]:
                assert (
                    int(a["width"]) > 0
                    and int(a["height"]) > 0
                    and a["src"].startswith(("../_images/", "_images/", "../../_images/"))
                ), f"{path.name}: {a['src'][:60]}"
                shown.add(a["src"].rpartition("/")[2])
    assert shown and shown <= {path.name for path in (HTML / "_images").iterdir()}


def test_the_script_of_icons_has_those_that_pages_show_and_no_others():
    """The theme has two thousand; book/_static/scripts/fontawesome.js takes its file's place."""
    shown = {
        name
        for path in built()
        for tag, a in Tags(path.read_text()).tags
        if tag in ("i", "span")
        and re.search(r"\bfa[sb]\b|\bfa-(solid|brands)\b", a.get("class") or "")
        for name in re.findall(r"\bfa-[a-z-]+", a["class"])
    } - {"fa-solid", "fa-brands", "fa-lg"}
    script = (HTML / "_static" / "scripts" / "fontawesome.js").read_text()
    assert "Fonticons" in script, "the licence asks to be named"
    has = set(re.findall(r'"(fa-[a-z-]+)": \[\d+, \d+, "M', script))
    assert shown - has == set(), "missing"
    assert has - shown <= {"fa-file-pdf", "fa-book"}, "no page shows these"


def test_colab_opens_the_chapters_colab_edition():
    """With `path_to_book` set, the links would read book/book/…; the notebooks in book/ hold
    MyST,
    which Colab shows as it is.
    """
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    owner_and_name = repository["url"].split("github.com/")[-1]
    for notebook in (ROOT / "book").glob("*.ipynb"):
        page = (HTML / "book" / f"{notebook.stem}.html").read_text()
        links = re.findall(r'href="(https://colab\.research\.google\.com/[^"]*)"', page)
        address = f"{owner_and_name}/blob/{repository['branch']}/colab/{notebook.name}"
        on_github = repository["url"].startswith("https://github.com/")
        assert links == [f"https://colab.research.google.com/github/{address}"] * on_github
        assert (ROOT / "colab" / notebook.name).exists()


def test_pages_say_their_language_and_title():
    for path in built():
        tags = Tags(path.read_text()).tags
        if any(a.get("http-equiv", "").lower() == "refresh" for _, a in tags):
            continue  # the redirect at the root
        assert any(t == "html" and a.get("lang") for t, a in tags) and any(
            t == "title" for t, _ in tags
        ), path.name


def test_the_pages_show_the_stored_outputs():
    """Stored text outputs stand on the page word for word: the build executes nothing."""
    import html

    for notebook in (ROOT / "book").glob("*.ipynb"):
        page = html.unescape(
            re.sub(r"<[^>]+>", "", (HTML / "book" / f"{notebook.stem}.html").read_text())
        )
        for cell in json.loads(notebook.read_text())["cells"]:
            if "remove-output" in cell["metadata"].get("tags", []):
                continue
            for output in cell.get("outputs", []):
                if output["output_type"] == "stream":
                    first = "".join(output["text"]).strip().splitlines()[:1]
                    assert not first or first[0].strip() in page, (
                        f"{notebook.name}: {first} is not on the page: stale build?"
                    )
