"""The library's pages, the search and the indexes, by the same checks as the chapters, and that the search finds something."""

import pytest

from serving import HTML, VIEWS
from test_pages import test_page as check_page

OTHERS = sorted(f"book/api/{path.name}" for path in (HTML / "book" / "api").glob("*.html")) + ["search.html", "genindex.html"]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", OTHERS)
def test_other_page(browser, address, name, view):
    check_page(browser, address, name, view)


@pytest.mark.parametrize("name", [name for name in OTHERS if "/api/" in name])
def test_docstrings_are_rendered(browser, address, name):
    """A docstring that the parser did not understand shows its field names as text."""
    page = browser.new_page()
    page.goto(f"{address}/{name}", wait_until="domcontentloaded")
    text = page.inner_text("article")
    page.close()
    raw = [line for line in text.splitlines() if any(mark in line for mark in (":raises", ":param", ":return", ":math:", "``"))]
    assert not raw


def test_search_finds_the_ledger(browser, address):
    page = browser.new_page()
    page.goto(f"{address}/search.html?q=ledger", wait_until="load")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    assert any("ledger" in (link.get_attribute("href") or "") for link in page.query_selector_all("#search-results li a"))
    page.close()
