"""The stills of the figures that recompute: python tests/browser/stills.py [ch6 …]

Each figure of book/_static/live draws itself in a page of its own, with its first settings; what it
drew, with the colours of paper, is book/stills/NAME.svg. Print, the Colab edition and a browser
without scripts show it. tests/browser/test_live.py says which still is no longer its figure.
"""

import re
import sys

from playwright.sync_api import sync_playwright

from serving import ARGUMENTS, CHROMIUM, ROOT

STATIC = ROOT / "book" / "_static"
STILLS = ROOT / "book" / "stills"
SHARED = ("live.js", "live/models.js")
PAPER = {"ink": "#222222", "back": "#FFFFFF", "grid": "#DDDDDD", "6": "#000000"} | {
    str(i): c
    for i, c in enumerate(("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"))
}
# where each panel stands on the page, in units of its own drawing, and what it drew
PANELS = """name => [...document.querySelectorAll(`#fig-${name}-live .fe-panels > svg`)].map(s =>
  [s.viewBox.baseVal.width, s.viewBox.baseVal.height, s.innerHTML])"""


def names():
    return sorted((p.stem for p in (STATIC / "live").glob("ch*.js")), key=lambda s: int(s[2:]))


def page(name):
    """The figure alone."""
    script = "\n".join((STATIC / file).read_text() for file in (*SHARED, f"live/{name}.js"))
    return f'<figure id="fig-{name}-live"><img></figure><script>{script}</script>'


def still(panels):
    """Panels [(width, height, markup), …] as one picture: side by side, a wide one alone."""
    rows = []
    for panel in panels:
        beside = rows and panel[0] + sum(p[0] for p in rows[-1]) <= 720
        rows[-1].append(panel) if beside else rows.append([panel])
    wide, y, parts = max(sum(p[0] for p in row) for row in rows), 0, []
    for row in rows:
        x = (wide - sum(p[0] for p in row)) / 2
        for width, _, markup in row:
            markup = re.sub(r' (role|tabindex|aria-[\w-]+)="[^"]*"', "", markup)
            parts.append(f'<g transform="translate({x:g} {y:g})">{markup}</g>')
            x += width
        y += max(p[1] for p in row)
    drawn = re.sub(r"var\(--fe-(\w+)\)", lambda m: PAPER[m[1]], "".join(parts))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:g}" height="{y:g}" '
        f'viewBox="0 0 {wide:g} {y:g}" style="font:12.5px system-ui,sans-serif">{drawn}</svg>\n'
    )


def main(chosen):
    STILLS.mkdir(exist_ok=True)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for name in chosen or names():
            tab = browser.new_page()
            tab.set_content(page(name))
            (STILLS / f"{name}.svg").write_text(still(tab.evaluate(PANELS, name)))
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
