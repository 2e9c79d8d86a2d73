"""A small book with an address of its own: its pages say where they are to those that link to them,
pages that have moved lead on, and every page says how old it is and takes reports of mistakes.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock
from xml.etree import ElementTree

import jinja2
import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import takeaway  # noqa: E402
from setup_cell import PLACEHOLDER  # noqa: E402

SITE = "https://someone.github.io/book/"
PAGES = {
    "index": "# A small book\n\nThree pages.\n",
    "01-first": "# The first & only chapter\n\nIt says: $a$, after {cite}`gao2020free`.\n",
    "notation": "# Notation\n\n| symbol | meaning | chapters | name |\n|---|---|---|---|\n"
    "| $a$ | one | 1 | a number |\n",
    "references": "# References\n\n```{bibliography}\n```\n",
}
TOC = {
    "format": "jb-book",
    "root": "book/index",
    "parts": [
        {"caption": "Part", "numbered": True, "chapters": [{"file": "book/01-first"}]},
        {"caption": "Rest", "chapters": [{"file": "book/notation"}, {"file": "book/references"}]},
    ],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The book's own configuration, tools and templates around four short pages, with history."""
    root = tmp_path_factory.mktemp("site")
    ignored = shutil.ignore_patterns("mathjax", "__pycache__")
    for name in ("tools", "book/_static", "book/_templates"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    shutil.copy(ROOT / "CITATION.cff", root)
    shutil.copy(ROOT / "book" / "references.bib", root / "book")
    for name, text in PAGES.items():
        (root / "book" / f"{name}.md").write_text(text)
    (root / "_toc.yml").write_text(yaml.safe_dump(TOC, sort_keys=False))
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["html"]["baseurl"] = SITE.rstrip("/")
    assert config["sphinx"]["config"]["redirects"] == {}
    config["sphinx"]["config"]["redirects"] = {"book/00-old-name": "01-first.html"}
    (root / "_config.yml").write_text(yaml.safe_dump(config))
    git = ["git", "-C", str(root), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "book/01-first.md"], check=True)
    day = {f"GIT_{who}_DATE": "2026-03-04T12:00:00Z" for who in ("AUTHOR", "COMMITTER")}
    subprocess.run(
        [*git, "commit", "-qm", "The first page"], check=True, env=day | {"PATH": "/usr/bin:/bin"}
    )
    command = ["jupyter-book", "build", str(root), "-W", "--keep-going"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return root / "_build" / "html"


def page(site, name):
    return BeautifulSoup((site / "book" / f"{name}.html").read_text(), "html.parser")


def test_a_page_says_where_it_is(site):
    soup = page(site, "01-first")
    said = {m["property"]: m["content"] for m in soup.select("meta[property]")}
    assert soup.select_one("link[rel=canonical]")["href"] == f"{SITE}book/01-first.html"
    assert said["og:url"] == f"{SITE}book/01-first.html"
    assert "The first & only chapter" in said["og:title"]
    assert said["og:site_name"] == yaml.safe_load((ROOT / "_config.yml").read_text())["title"]
    assert said["og:image"] == f"{SITE}_static/surface.png"
    assert (site / "_static" / "surface.png").exists()


def test_the_sitemap_lists_the_pages(site):
    tree = ElementTree.parse(site / "sitemap.xml")
    assert {e.text for e in tree.iter() if e.tag.endswith("loc")} == {
        f"{SITE}book/{name}.html" for name in PAGES
    }


def test_a_page_that_has_moved_leads_on(site):
    assert 'url=01-first.html"' in (site / "book" / "00-old-name.html").read_text()


def test_hosts_serve_folders_with_an_underscore(site):
    assert (site / ".nojekyll").exists()


def test_every_page_takes_reports_and_says_its_age(site):
    version = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    titles = {"01-first": "Chapter%201%2C%20The%20first%20%26%20only%20chapter%3A%20"}
    for path in [*(site / "book").glob("[!0]*.html"), site / "book" / "01-first.html"]:
        footer = page(site, path.stem).select_one(".page-footer")
        title = titles.get(
            path.stem, f"{PAGES[path.stem][2:].splitlines()[0].replace(' ', '%20')}%3A%20"
        )
        assert footer.a["href"].endswith(f"/issues/new?title={title}")
        assert f"Version {version}" in footer.get_text()
        assert ("Last changed on 2026-03-04" in footer.get_text()) == (path.stem == "01-first")


def test_issues_of_another_host():
    source = (ROOT / "book" / "_templates" / "page-footer.html").read_text()
    where = dict(theme_repository_url="https://gitlab.com/a/b", theme_repository_provider="gitlab")
    footer = jinja2.Template(source).render(pagename="A", citation={}, **where)
    assert 'href="https://gitlab.com/a/b/-/issues/new?issue[title]=A%3A%20"' in footer


def test_without_an_address_nothing_is_said():
    """The book as it comes names a placeholder: none of this may point there."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["repository"]["url"] != PLACEHOLDER or "baseurl" not in config["html"]
    app = Mock()
    app.config.html_baseurl = ""
    takeaway.setup(app)
    app.setup_extension.assert_not_called()
