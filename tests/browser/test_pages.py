"""Every page of the built book in a real browser, light and dark, on a desk and on a phone. A page
is loaded once, and then its window and its reader's wishes change.
"""

import os
import pathlib
import re
import time

import pytest

from serving import CHROMIUM, HTML, PATIENCE, TRACES, VIEWS, pages, visit

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

WIDER = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""

# axe takes 20 s on a long chapter, nearly all of it on thousands of coloured words of code and on
# the insides of equations. So equations keep their boxes alone, and each kind of word (its class,
# its colour, the card behind it, in either scheme) is left once on a page.
# `test_axe_on_a_page_as_it_is` runs on one page of each sort as it is.
BOXES = """() => {
  const sizes = [...document.querySelectorAll('mjx-container')].map(m => [m, m.getBoundingClientRect()]);
  for (const [m, r] of sizes) { m.replaceChildren(); m.style.cssText = `display:inline-block;width:${r.width}px;height:${r.height}px`; }
}"""  # noqa: E501
KINDS = """() => {
  const seen = new Set();
  for (const pre of document.querySelectorAll('pre')) {
    const card = getComputedStyle(pre).backgroundColor;
    for (const s of pre.querySelectorAll('span')) {
      const kind = card + s.className + getComputedStyle(s).color;
      if (!seen.has(kind)) s.dataset.kept = '';
      seen.add(kind);
    }
  }
}"""
THIN = """() => {
  document.querySelectorAll('pre span:not([data-kept])').forEach(s => s.replaceWith(...s.childNodes));
  document.querySelectorAll('pre').forEach(pre => pre.normalize());
}"""  # noqa: E501

# What a printer would cut off: wide content in a box that scrolls or hides on paper
CLIPPED = """() => [...document.querySelectorAll('article *')].filter(e => {
    const style = getComputedStyle(e);
    return e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 2 && /auto|scroll|hidden|clip/.test(style.overflowX) && style.display !== 'inline'
      && !e.closest('span.math, mjx-container, svg, [style*="clip-path"]');  // equations below; spoken words that no eye sees
  }).concat([...document.querySelectorAll('mjx-container')].filter(e => e.getBoundingClientRect().right > innerWidth)).map(e => `${e.tagName}.${e.className} ${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.trim().slice(0, 40)}`)"""  # noqa: E501


FOLDS = "article summary, article .solution.dropdown button.toggle-button"
IS_OPEN = """e => e.matches('summary') ? e.parentElement.open
  : !e.closest('.dropdown').matches('.toggle-hidden')"""


def open_folds(page):
    """Every solution, proof and hidden cell, opened with the Enter key; those that do not open."""
    closed = [fold for fold in page.query_selector_all(FOLDS) if not fold.evaluate(IS_OPEN)]
    for fold in closed:
        fold.evaluate("e => e.focus({preventScroll: true})")
        page.keyboard.press("Enter")
    return [
        fold.evaluate("e => e.parentElement.outerHTML.slice(0, 120)")
        for fold in closed
        if not fold.evaluate(IS_OPEN)
    ]


# Folds that the Tab key does not reach
UNREACHABLE = """folds => [...document.querySelectorAll(folds)].filter(e => {
  e.focus({preventScroll: true});
  return document.activeElement !== e;
}).map(e => e.parentElement.outerHTML.slice(0, 120))"""


def settle(page):
    """Until the page has answered to a change: it marks what scrolls 300 ms later, by timers that
    end before this one, on a slow machine too.
    """
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame("
        "() => setTimeout(done, 400))))"
    )


def move_sliders(page):
    """Every live figure by its keys: its value, its picture and what it tells a screen reader; what
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
        end = time.monotonic() + 120
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


COLOURS = ["color-contrast", "link-in-text-block"]


def axe(page, without=(), within="html", **options):
    """Serious and critical violations, a line each. `preload` would fetch the style sheets again,
    from wrong addresses.
    """
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(
        page,
        context={"include": [within], "exclude": list(without)},
        options=dict(resultTypes=["violations"], preload=False) | options,
    )
    return [
        f"axe {v['id']} ({v['impact']}): {n['target']} "
        f"{(n['any'] + n['all'] + n['none'])[0]['message'][:160]} {n['html'][:120]}"
        for v in found.response["violations"]
        if v["impact"] in ("serious", "critical")
        for n in v["nodes"]
    ]


def show(page, view):
    """The page in another view. It follows the reader's scheme as long as nobody chose one."""
    width, height, scheme = VIEWS[view]
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(media="screen", color_scheme=scheme, reduced_motion="reduce")
    page.wait_for_function(f"() => document.documentElement.dataset.theme == '{scheme}'")
    settle(page)


def contents(page):
    """What is wrong with a page as it was loaded."""
    seen = page.evaluate(LOOK)
    if raw := RAW.search(seen.pop("text")):
        yield f"raw markup: {raw}"
    for alt, width, height, src in seen.pop("images"):
        if not alt or len(alt) <= 10 or re.search(r"\.(png|svg|jpe?g|webp)$|_images/", alt):
            yield f"alt text {alt!r} of {src}"
        if not (width and height):
            yield f"{src} has no size: the page jumps when it arrives"
    yield from (f"{what}: {items}" for what, items in seen.items() if items)


def use(page, opens):
    """What is wrong as a reader opens everything and moves what moves; `opens` gives the folds that
    do not open.
    """
    if (wider := page.evaluate(WIDER)) > 0:
        yield f"the page is {wider} px wider than the window"
    yield from (f"does not open by keyboard: {fold}" for fold in opens(page))
    yield from move_sliders(page)
    settle(page)
    if (wider := page.evaluate(WIDER)) > 0:
        yield f"with everything open the page is {wider} px wider than the window"


def on_paper(page):
    page.set_viewport_size({"width": 718, "height": 1000})  # A4 less its margins, at 96 dpi
    page.emulate_media(media="print", reduced_motion="reduce")
    settle(page)
    yield from (f"cut off in print: {what}" for what in page.evaluate(CLIPPED))
    page.emulate_media(media="screen")
    moving = page.evaluate("""() => [...document.querySelectorAll('*')].filter(e => {
      const s = getComputedStyle(e);
      return parseFloat(s.transitionDuration) > 0 || s.animationName !== 'none'
        || s.scrollBehavior === 'smooth' }).length""")
    if moving:
        yield f"{moving} elements move though the reader asked for no motion"


def accessible(page, views):
    """axe in each view: all its rules on a desk; on a phone all again, but colours of the text,
    which do not depend on the width; in the dark the rules about colours.
    """
    page.evaluate(BOXES)
    for scheme in sorted({VIEWS[view][2] for view in views}):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function(f"() => document.documentElement.dataset.theme == '{scheme}'")
        page.evaluate(KINDS)
    page.evaluate(THIN)
    for view in views:
        show(page, view)
        if page.evaluate(WIDER) > 0:
            yield f"{view}: the page is wider than the window"
        phone, dark = "phone" in view, "dark" in view
        found = axe(page, ["article"] if phone else [], runOnly=COLOURS) if phone or dark else []
        if not dark:
            rules = {rule: {"enabled": not phone} for rule in COLOURS}
            found += axe(page, rules=rules)
        yield from (f"{view}: {fault}" for fault in found)


def report(wrong):
    return "\n".join([f"{len(wrong)} faults", *wrong[:30]])


# the pages of the library come from one template and docstrings: one view of each, all views of
# three
ALL_VIEWS = [f"book/api/{name}.html" for name in ("plot", "path", "reproduce")]


@pytest.mark.parametrize("name", pages())
def test_page(tab, address, name):
    """All that does not depend on the scheme is done once on a desk and once on a phone; colours
    are looked at in all four views.
    """
    wrong, views = [], list(VIEWS) if "/api/" not in name or name in ALL_VIEWS else ["light"]

    def note(view, faults):
        wrong.extend(f"{view}: {fault}" for fault in faults)

    with visit(tab, f"{address}/{name}", "light", wrong) as page:
        note("light", contents(page))
        note("light", use(page, open_folds))
        note("paper", on_paper(page))
        if "phone" in views:
            show(page, "phone")
            note("phone", use(page, lambda page: page.evaluate(UNREACHABLE, FOLDS)))
        note("axe", accessible(page, views))
        assert not wrong, report(wrong)


@pytest.mark.parametrize("view", [view for view in VIEWS if view != "light"])
@pytest.mark.parametrize("name", ["book/08-optimal-transport.html", "book/ledger.html", *ALL_VIEWS])
def test_a_page_loaded_in_another_view(tab, address, name, view):
    """What the theme does at the start, which is the same on every page."""
    wrong = []
    with visit(tab, f"{address}/{name}", view, wrong) as page:
        wrong += contents(page)
        if (wider := page.evaluate(WIDER)) > 0:
            wrong.append(f"the page is {wider} px wider than the window")
        assert page.evaluate("document.documentElement.dataset.theme") == VIEWS[view][2]
        assert not wrong, report(wrong)


@pytest.mark.parametrize("name", ["book/10-beyond-the-paper.html", "book/api/plot.html"])
def test_axe_on_a_page_as_it_is(tab, address, name):
    with visit(tab, f"{address}/{name}", "dark") as page:
        assert not (found := axe(page)), report(found)


def test_a_page_that_fails_leaves_a_trace_and_a_picture(tab, address):
    with pytest.raises(AssertionError) as failure:
        with visit(tab, f"{address}/search.html", "phone"):
            assert False
    (note,) = failure.value.__notes__
    for kind in ("zip", "png"):
        path = TRACES / f"search-html-phone.{kind}"
        assert str(path) in note and path.stat().st_size > 1000
        path.unlink()


def test_the_root_leads_to_the_book(tab, address):
    with visit(tab, f"{address}/") as page:
        page.wait_for_url("**/book/index.html", timeout=PATIENCE)


def test_search_finds_the_ledger(tab, address):
    with visit(tab, f"{address}/search.html?q=ledger") as page:
        page.wait_for_selector("#search-results li a")
        found = page.query_selector_all("#search-results li a")
        assert any("ledger" in (link.get_attribute("href") or "") for link in found)


def test_the_ledger_is_filtered_without_scripts(browser, address):
    """Claims of another verdict go, and sections that have none left; on a phone the verdict stands
    above the claim.
    """
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(f"{address}/book/ledger.html")
    everything = page.locator(".claim:visible").count()
    names = page.locator("input[name=verdict]").evaluate_all("all => all.map(e => e.id)")
    assert everything >= 80 and len(names) == 5
    for name in names[1:]:
        page.check(f"#{name}")
        verdict = name.removeprefix("show-")
        shown = page.locator(".claim:visible").count()
        assert 0 < shown == page.locator(f".claim.{verdict}").count() < everything
        assert page.locator("h2:visible").count() <= shown
    page.check("#show-all")
    assert page.locator(".claim:visible").count() == everything
    first = page.locator(".claim").first
    top = lambda part: first.locator(f".{part}").bounding_box()["y"]
    assert top("verdict") < top("what") < top("found")
    context.close()


def test_the_search_field_of_a_chapter_leads_to_the_results(tab, address):
    """The index is loaded by the search page alone, so the field of any other page must lead
    there.
    """
    with visit(tab, f"{address}/book/index.html") as page:
        page.keyboard.press("Control+k")
        page.keyboard.type("geodesic")
        page.keyboard.press("Enter")
        page.wait_for_selector("#search-results li a")
        assert "search.html?q=geodesic" in page.url
