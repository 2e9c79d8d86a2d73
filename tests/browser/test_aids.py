"""Aids of every page: links show what they lead to, in a box beside them (book/_static/preview.js),
and formulas speak for who switches it on (access.js).
"""

import pytest
from playwright.sync_api import TimeoutError
from test_pages import axe

from serving import HTML, PATIENCE, visit

# a link of chapter 7: what its box says
SHOWN = {
    "a[href='#equation-eq-ch7-j']:not(.headerlink)": "(7.1)",
    "a[href*='08-optimal-transport.html#equation-']": "(8.",
    "a[href='#ch7-force']": "Theorem 7.1",
    "a[href='#fig-ch7-path']": "Fig. 7.",
    "a[href*='references.html#']": "Gao and",
    "a.symbol-link": " ",
}
TAKES_THE_FOCUS = "a, button, input, [tabindex], [id]"


@pytest.fixture(scope="module")
def page(tab, address):
    wrong = []
    with visit(tab, f"{address}/book/07-a-changing-task.html", "dark", wrong) as page:
        page.emulate_media(reduced_motion="reduce")
        yield page
    assert not wrong, wrong


def test_a_link_shows_what_it_leads_to(page):
    box, article = page.locator("#preview"), page.locator("article")
    for selector, words in SHOWN.items():
        link = article.locator(selector).first
        for left in (2, 1, 0):  # the page may still move away from under the mouse, as it loads
            link.hover()
            try:
                box.wait_for(timeout=PATIENCE / 10)
                break
            except TimeoutError:
                assert left, f"{selector} shows nothing"
                page.mouse.move(0, 0)
        described = page.locator(f"[id='{link.get_attribute('aria-describedby')}']")
        assert words in box.inner_text() and described.get_attribute("role") == "tooltip"
        assert box.locator(TAKES_THE_FOCUS).count() == 0, selector
        if "equation" in selector:
            box.locator("mjx-container").first.wait_for(timeout=PATIENCE)
        if "fig" in selector:
            page.wait_for_function("document.querySelector('#preview img').naturalWidth")
        if "ch7-force" in selector:
            assert not (found := axe(page, within="#preview")), found
        page.keyboard.press("Escape")
        assert box.count() == 0
    assert article.locator("[aria-describedby=preview]").count() == 0


def test_it_stays_for_who_reads_it_and_comes_with_the_keyboard(page):
    box = page.locator("#preview")
    link = page.locator("article a[href='#ch7-force']").first
    link.hover()
    box.hover(timeout=PATIENCE)
    page.wait_for_timeout(400)
    assert box.is_visible()
    window, at = page.viewport_size, box.bounding_box()
    assert at["x"] >= 0 and at["x"] + at["width"] <= window["width"]
    assert at["y"] >= 0 and at["y"] + at["height"] <= window["height"]
    page.mouse.move(2, 2)
    box.wait_for(state="detached", timeout=PATIENCE)
    page.keyboard.press("Tab")  # from now on the focus is the keyboard's
    link.focus()
    box.wait_for(timeout=PATIENCE)
    page.emulate_media(media="print")
    assert not box.is_visible()
    page.emulate_media(media="screen")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") != "#ch7-force"
    box.wait_for(state="detached", timeout=PATIENCE)


def test_it_stays_closed_after_esc(page):
    """While the mouse moves on within the link, and where the box lay over another link; once the
    mouse has left, the link shows it again.
    """
    box = page.locator("#preview")
    link = page.locator("article a.internal[href='#equation-eq-ch7-j']").first
    page.mouse.move(2, 2)
    page.wait_for_timeout(400)
    link.scroll_into_view_if_needed()
    at = link.bounding_box()
    x, y = round(at["x"] + at["width"] / 2), round(at["y"] + at["height"] / 2)
    page.mouse.move(x, y)
    box.wait_for(timeout=PATIENCE)
    page.keyboard.press("Escape")
    over = f"{{bubbles: true, pointerType: 'mouse', clientX: {x}, clientY: {y}}}"
    over = f"e => e.dispatchEvent(new PointerEvent('pointerover', {over}))"
    other = page.locator("article a[href='#ch7-force']").first
    other.evaluate(over)  # came under a mouse that did not move
    page.wait_for_timeout(400)
    assert box.count() == 0
    page.mouse.move(x - 3, y)
    link.evaluate(over)  # moved on within the link
    page.wait_for_timeout(400)
    assert box.count() == 0
    page.mouse.move(2, 2)
    link.hover()
    box.wait_for(timeout=PATIENCE)
    page.mouse.move(2, 2)
    box.wait_for(state="detached", timeout=PATIENCE)


def test_a_finger_opens_no_box(page):
    touch = "new PointerEvent('pointerover', {bubbles: true, pointerType: 'touch'})"
    page.locator("article a[href='#ch7-force']").first.evaluate(f"e => e.dispatchEvent({touch})")
    page.wait_for_timeout(400)
    assert page.locator("#preview").count() == 0


def test_on_a_phone_a_wide_figure_scrolls_in_its_own_box(tab, address):
    """It is drawn large enough to be read, the Tab key reaches its box, the page does not move."""
    with visit(tab, f"{address}/book/07-a-changing-task.html", "phone") as page:
        page.wait_for_function("document.querySelector('.wide[tabindex]')", timeout=PATIENCE)
        boxes = page.locator("article figure .wide:visible")
        assert boxes.count() >= 3
        for box in boxes.all():
            assert box.locator("img").bounding_box()["width"] > 500
            assert box.get_attribute("tabindex") == "0" and box.bounding_box()["width"] <= 360
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_formulas_speak_if_switched_on(tab, address):
    """Their words come from files of this book, which nobody loads who did not ask for them."""
    wrong, asked, keep = [], [], lambda request: asked.append(request.url)
    tab.on("request", keep)
    with visit(tab, f"{address}/book/glossary.html", "light", wrong) as page:
        assert not any("/sre" in url for url in asked)
        page.locator(".page-footer button").click()
        spoken = page.locator("mjx-container[role=application][aria-label]")
        spoken.first.wait_for(timeout=PATIENCE)
        assert any("/sre" in url for url in asked)
        assert page.locator(".page-footer button").inner_text() == "Formulas speak: on"
        page.evaluate("localStorage.removeItem('MathJax-Menu-Settings')")
        page.goto((HTML / "book" / "glossary.html").as_uri())  # there it would stop all formulas
        page.evaluate("localStorage.setItem('MathJax-Menu-Settings', '{\"explorer\": true}')")
        page.reload()
        page.locator("mjx-container").first.wait_for(timeout=PATIENCE)
        assert page.locator(".page-footer button").count() == 0
    tab.remove_listener("request", keep)
    assert not wrong, wrong
