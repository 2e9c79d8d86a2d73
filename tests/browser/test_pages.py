"""Every page of the built book in a real browser, light and dark, on a desk and on a phone. One
load of a page does all its checks.
"""

import os
import pathlib
import re
import time
from urllib.parse import urlparse

import pytest

from serving import CHROMIUM, HTML, PATIENCE, VIEWS, open_page, pages

REQUIRED = os.environ.get("FE_REQUIRE_BROWSER") == "1"

if not pages():
    pytest.skip(f"no built book in {HTML}: run `python3 run.py book`", allow_module_level=True)
if not pathlib.Path(CHROMIUM).exists() and not REQUIRED:
    pytest.skip(f"no browser at {CHROMIUM}: apt-get install chromium", allow_module_level=True)

RAW = re.compile(
    r"\{(eq|ref|numref|doc|cite|prf:ref)\}|:::|\$\$|^```|\(\?\?\)|:(?:raises|param|return|math)\b|``",
    re.MULTILINE,
)

# What the page says of itself, in one call. Each entry is empty on a good page.
LOOK = """() => {
  const all = s => [...document.querySelectorAll(s)], ids = all('[id]').map(e => e.id);
  const text = document.querySelector('article, .bd-article, main').cloneNode(true);
  text.querySelectorAll('pre, code, script, style, mjx-container').forEach(e => e.remove());
  return {
    text: text.textContent,
    images: all('article img, .bd-article img').map(i => [i.alt, i.getAttribute('width'), i.getAttribute('height'), (i.getAttribute('src') || '').slice(0, 80)]),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    untypeset: all('.math').filter(e => !e.querySelector('mjx-container') && !e.matches('mjx-container .math')).map(e => e.textContent.slice(0, 60)),
    wrong_formulas: all('mjx-merror, [data-mjx-error]').map(e => e.textContent.slice(0, 60)),
    dead_anchors: all('article a[href^="#"], .bd-article a[href^="#"]').map(a => a.getAttribute('href')).filter(h => h.length > 1 && !document.getElementById(decodeURIComponent(h.slice(1)))),
    double_ids: [...new Set(ids.filter((id, i) => ids.indexOf(id) !== i))],
    open_at_load: all('details.sd-dropdown, details.toggle-details, details.hide, .solution.dropdown').filter(d => d.matches('details') ? d.open : !d.matches('.toggle-hidden')).map(d => d.id || d.className),
    dead_widgets: all('script[src*="require"], script[type*="jupyter.widget"], .jupyter-widgets').map(e => e.outerHTML.slice(0, 80)),
  };
}"""  # noqa: E501

# axe takes 20 s on a long chapter, nearly all of it on thousands of coloured words of code and
# on
# the insides of equations. So each
# kind of word (its class, its colour, the card behind it) is left once on a page, and equations
# keep their boxes alone.
# `test_axe_on_a_page_as_it_is` runs on one page of each sort as it is.
THIN = """() => {
  const sizes = [...document.querySelectorAll('mjx-container')].map(m => [m, m.getBoundingClientRect()]);
  for (const [m, r] of sizes) { m.replaceChildren(); m.style.cssText = `display:inline-block;width:${r.width}px;height:${r.height}px`; }
  const seen = new Set();
  for (const pre of document.querySelectorAll('pre')) {
    const card = getComputedStyle(pre).backgroundColor;
    for (const s of [...pre.querySelectorAll('span')]) {
      const kind = card + s.className + getComputedStyle(s).color;
      if (seen.has(kind)) s.replaceWith(...s.childNodes); else seen.add(kind);
    }
    pre.normalize();
  }
}"""  # noqa: E501

# What a printer would cut off: wide content in a box that scrolls or hides on paper
CLIPPED = """() => [...document.querySelectorAll('article *')].filter(e => {
    const style = getComputedStyle(e);
    return e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 2 && /auto|scroll|hidden|clip/.test(style.overflowX) && style.display !== 'inline'
      && !e.closest('span.math, mjx-container, svg, [style*="clip-path"]');  // equations below; spoken words that no eye sees
  }).concat([...document.querySelectorAll('mjx-container')].filter(e => e.getBoundingClientRect().right > innerWidth)).map(e => `${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.trim().slice(0, 40)}`)"""  # noqa: E501


def open_folds(page):
    """Every solution, proof and hidden cell, opened with the Enter key; those that do not open."""
    stuck = []
    for handle in page.query_selector_all(
        "article summary, article .solution.dropdown button.toggle-button"
    ):
        is_open = (
            "e => e.matches('summary') ? e.parentElement.open : "
            "!e.closest('.dropdown').matches('.toggle-hidden')"
        )
        if not handle.evaluate(is_open):
            handle.focus()
            page.keyboard.press("Enter")
            if not handle.evaluate(is_open):
                stuck.append(handle.evaluate("e => e.parentElement.outerHTML.slice(0, 120)"))
    return stuck


def move_sliders(page):
    """Every live figure by its keys: its value, its picture and what it tells a screen reader;
    what
    does not follow.
    """
    wrong = []
    for slider in page.query_selector_all(".fe-live input[type=range]"):
        state = """e => { const box = e.closest('.fe-live'), shown = [...box.querySelectorAll('img')].filter(i => i.offsetParent !== null);
            return {value: box.querySelector('output').textContent, spoken: e.getAttribute('aria-valuetext'), shown: shown.map(i => i.alt),
                    height: e.getBoundingClientRect().height, said: (box.querySelector('[aria-live=polite]') || {}).textContent,
                    top: box.nextElementSibling ? box.nextElementSibling.getBoundingClientRect().top : 0, tall: box.getBoundingClientRect().height}; }"""  # noqa: E501
        slider.focus()
        before = slider.evaluate(state)
        page.keyboard.press(
            "ArrowRight" if slider.input_value() != slider.get_attribute("max") else "ArrowLeft"
        )
        end = time.monotonic() + 20
        while True:  # a screen reader is told once the slider rests
            page.wait_for_timeout(100)
            after = slider.evaluate(state)
            if (
                after["said"] in [alt for alt in after["shown"] if alt not in before["shown"]]
                or time.monotonic() > end
            ):
                break
        name = slider.get_attribute("id")
        if after["value"] == before["value"] or after["spoken"] != after["value"]:
            wrong.append(f"{name} does not react to the keyboard: {before} → {after}")
        if (
            len(before["shown"]) != 1
            or len(after["shown"]) != 1
            or after["said"] != after["shown"][0]
        ):
            wrong.append(f"{name}: one frame should show, and its words be said: {after}")
        if before["height"] < 44:
            wrong.append(f"{name} is {before['height']} px high: a finger needs 44")
        if after["tall"] != before["tall"]:
            wrong.append(f"{name} makes the page jump by {after['tall'] - before['tall']} px")
    return wrong


def axe(page):
    """Serious and critical violations, a line each. `preload` would fetch the style sheets
    again,
    from wrong addresses.
    """
    from axe_playwright_python.sync_playwright import Axe

    found = (
        Axe()
        .run(page, options={"resultTypes": ["violations"], "preload": False})
        .response["violations"]
    )
    return [
        f"axe {v['id']} ({v['impact']}): {n['target']} "
        f"{(n['any'] + n['all'] + n['none'])[0]['message'][:160]} {n['html'][:120]}"
        for v in found
        if v["impact"] in ("serious", "critical")
        for n in v["nodes"]
    ]


# the pages of the library come from one template and docstrings: one view of each, all views of
# three
ALL_VIEWS = [f"book/api/{name}.html" for name in ("plot", "process", "reproduce")]
LOOKS = [
    (name, view)
    for name in pages()
    for view in VIEWS
    if view == "light" or "/api/" not in name or name in ALL_VIEWS
]


@pytest.mark.parametrize("name, view", LOOKS, ids=lambda part: part)
def test_page(browser, address, name, view):
    wrong, outside = [], []

    def watch(page):
        page.on(
            "console",
            lambda m: (
                wrong.append(f"console: {m.text} {m.location.get('url', '')}")
                if m.type == "error"
                else None
            ),
        )
        page.on("pageerror", lambda e: wrong.append(f"script: {e}"))
        page.on(
            "request",
            lambda r: (
                outside.append(r.url)
                if urlparse(r.url).hostname not in (None, "127.0.0.1", "")
                else None
            ),
        )
        page.route(
            lambda url: urlparse(url).hostname not in (None, "127.0.0.1", ""),
            lambda route: route.abort(),
        )

    page, context = open_page(browser, f"{address}/{name}", view, watch)
    try:
        seen = page.evaluate(LOOK)
        if raw := RAW.search(seen.pop("text")):
            wrong.append(f"raw markup: {raw}")
        if (overflow := seen.pop("overflow")) > 0:
            wrong.append(f"the page is {overflow} px wider than the window")
        for alt, width, height, src in seen.pop("images"):
            if not alt or len(alt) <= 10 or re.search(r"\.(png|svg|jpe?g|webp)$|_images/", alt):
                wrong.append(f"alt text {alt!r} of {src}")
            if not (width and height):
                wrong.append(f"{src} has no size: the page jumps when it arrives")
        wrong += [f"{what}: {items}" for what, items in seen.items() if items]
        wrong += [f"does not open by keyboard: {fold}" for fold in open_folds(page)]
        wrong += move_sliders(page)
        page.wait_for_timeout(300)  # access.js marks what scrolls now that all is open
        if (
            page.evaluate(
                "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            > 0
        ):
            wrong.append("with everything open the page is wider than the window")
        if view == "light":
            page.set_viewport_size(
                {"width": 718, "height": 1000}
            )  # A4 less its margins, at 96 pixels an inch
            page.emulate_media(media="print", reduced_motion="reduce")
            page.wait_for_timeout(300)
            wrong += [f"cut off in print: {what}" for what in page.evaluate(CLIPPED)]
            page.emulate_media(media="screen")
            moving = page.evaluate("""() => [...document.querySelectorAll('*')].filter(e => { const s = getComputedStyle(e);
                return parseFloat(s.transitionDuration) > 0 || s.animationName !== 'none' || s.scrollBehavior === 'smooth' }).length""")  # noqa: E501
            if moving:
                wrong.append(f"{moving} elements move though the reader asked for no motion")
            page.set_viewport_size({"width": 1440, "height": 900})
            page.wait_for_timeout(
                1000
            )  # the theme marks anew what scrolls, a while after each change of the window
        page.evaluate(THIN)
        wrong += axe(page)
        wrong += [f"asked for {url}, outside of the book" for url in outside]
    finally:
        context.close()
    assert not wrong, "\n".join([f"{len(wrong)} faults"] + wrong[:30])


@pytest.mark.parametrize("name", ["book/02-equilibrium-surface.html", "book/api/plot.html"])
def test_axe_on_a_page_as_it_is(browser, address, name):
    page, context = open_page(browser, f"{address}/{name}", "dark")
    found = axe(page)
    context.close()
    assert not found, "\n".join(found)


def test_the_root_leads_to_the_book(browser, address):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/", wait_until="load")
    page.wait_for_url("**/book/index.html", timeout=PATIENCE)
    page.close()


def test_search_finds_the_ledger(browser, address):
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/search.html?q=ledger", wait_until="load")
    page.wait_for_selector("#search-results li a")
    assert any(
        "ledger" in (link.get_attribute("href") or "")
        for link in page.query_selector_all("#search-results li a")
    )
    page.close()


def test_the_search_field_of_a_chapter_leads_to_the_results(browser, address):
    """The index is loaded by the search page alone, so the field of any other page must lead
    there.
    """
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/book/index.html", wait_until="load")
    page.keyboard.press("Control+k")
    page.keyboard.type("geodesic")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    assert "search.html?q=geodesic" in page.url
    page.close()
