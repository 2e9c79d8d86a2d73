"""Every page of the built book in a real browser, light, dark and on a phone."""

import os
import pathlib
import re
from urllib.parse import urlparse

import pytest

from serving import CHROMIUM, HTML, VIEWS, open_page, pages

REQUIRED = os.environ.get("FE_REQUIRE_BROWSER") == "1"

if not pages():
    pytest.skip(f"no built book in {HTML}: run `python3 run.py book`", allow_module_level=True)
if not pathlib.Path(CHROMIUM).exists() and not REQUIRED:
    pytest.skip(f"no browser at {CHROMIUM}: apt-get install chromium", allow_module_level=True)


RAW = re.compile(r"\{(eq|ref|numref|doc|cite|prf:ref)\}|:::|\$\$|^```", re.MULTILINE)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", pages())
def test_page(browser, address, name, view):
    errors, outside = [], []

    def watch(page):
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("request", lambda r: outside.append(r.url) if urlparse(r.url).hostname not in (None, "127.0.0.1", "") else None)
        page.route(lambda url: urlparse(url).hostname not in (None, "127.0.0.1", ""), lambda route: route.abort())

    page, context = open_page(browser, f"{address}/{name}", view, watch)
    try:
        assert not [e for e in errors if "THEBE_JS_URL" not in e]
        assert not outside, "requests that leave the book"
        overflow = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"the page is {overflow} px wider than the window"
        text = page.evaluate("""() => { const a = document.querySelector('article, .bd-article, main').cloneNode(true);
            a.querySelectorAll('pre, code, script, style, mjx-container').forEach(e => e.remove()); return a.textContent }""")
        assert not RAW.search(text), f"raw markup: {RAW.search(text)}"
        assert page.evaluate("() => document.querySelectorAll('mjx-merror, [data-mjx-error]').length") == 0
        assert page.evaluate("""() => document.querySelectorAll('.math').length === 0
            || document.querySelectorAll('mjx-container').length > 0""")
        for alt, src in page.evaluate("() => [...document.querySelectorAll('article img, .bd-article img')].map(i => [i.alt, i.src.slice(0, 80)])"):
            assert alt and len(alt) > 10 and not re.search(r"\.(png|svg|jpe?g)$|_images/", alt), f"alt text {alt!r} of {src}"
        assert page.evaluate("() => [...document.querySelectorAll('article a[href^=\"#\"], .bd-article a[href^=\"#\"]')]"
                             ".filter(a => a.hash.length > 1 && !document.getElementById(decodeURIComponent(a.hash.slice(1)))).map(a => a.href)") == []
        assert page.evaluate("() => [...document.querySelectorAll('details.sd-dropdown, details.toggle-details')].filter(d => d.open).length") == 0
        for solution in page.query_selector_all(".solution.dropdown"):
            assert "toggle-hidden" in solution.get_attribute("class"), "a solution is open when the page loads"
        for slider in page.query_selector_all(".fe-live input[type=range]"):
            shown = "() => document.activeElement.closest('.fe-live').querySelector('output').textContent"
            slider.focus()
            before = page.evaluate(shown)
            page.keyboard.press("ArrowRight" if slider.input_value() != slider.get_attribute("max") else "ArrowLeft")
            assert page.evaluate(shown) != before, "a live figure does not react to the keyboard"
            visible = "e => [...e.closest('.fe-live').querySelectorAll('img')].filter(i => i.style.display !== 'none').length"
            assert slider.evaluate(visible) == 1
    finally:
        context.close()


def test_the_root_leads_to_the_book(browser, address):
    page = browser.new_page()
    page.goto(f"{address}/", wait_until="load")
    page.wait_for_url("**/book/index.html", timeout=10_000)
    page.close()


def test_internal_links():
    """Every relative link of every page leads to a file of the build, and to an anchor that exists."""
    from html.parser import HTMLParser

    class Links(HTMLParser):
        def __init__(self):
            super().__init__()
            self.links, self.ids = [], set()

        def handle_starttag(self, tag, attributes):
            attributes = dict(attributes)
            if tag == "a" and attributes.get("href"):
                self.links.append(attributes["href"])
            for key in ("id", "name"):
                if attributes.get(key):
                    self.ids.add(attributes[key])

    parsed = {}

    def parse(path):
        if path not in parsed:
            parsed[path] = Links()
            parsed[path].feed(path.read_text())
        return parsed[path]

    broken = []
    for name in pages():
        here = HTML / name
        for link in parse(here).links:
            if re.match(r"[a-z]+:", link) or link.startswith("//"):
                continue
            target, _, anchor = link.partition("#")
            path = (here.parent / target).resolve() if target else here
            if not path.exists():
                broken.append((name, link))
            elif anchor and path.suffix == ".html" and anchor not in parse(path).ids:
                broken.append((name, link))
    assert not broken
