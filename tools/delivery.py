"""Sphinx extension of this book: pages load only what they use.

The theme sends all two thousand icons of Font Awesome with every page, 1.5 MB; this book shows
about twenty, which stay. The search
index goes to the search page alone, since nothing is searched as one types. The scripts that
would
run cells on a page go, since
the book does not (and their address of a server elsewhere with them).
"""

import json
import re
from pathlib import Path

CLASSES = re.compile(r'<(?:i|span) class="([^"]*\bfa-[^"]*)"')
SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>'
)
THEBE = re.compile(
    r'\s*<script[^>]*src="[^"]*sphinx-thebe\.js[^"]*"></script>|\s*<script>const '
    r"THEBE_JS_URL.*?</script>",
    re.DOTALL,
)
# the font's licence asks to be named; the rules are those of its own style sheet
SCRIPT = """\
/* %s */
(function () {
  var icons = %s;
  var style = document.createElement("style");
  style.textContent = ".svg-inline--fa{display:inline-block;box-sizing:content-box;height:1em;overflow:visible;vertical-align:-.125em}"
    + ".svg-inline--fa.fa-lg{vertical-align:-.2em}.fa-lg{font-size:1.25em;line-height:.05em}";
  document.head.append(style);
  document.querySelectorAll(".fas, .fab, .fa-solid, .fa-brands").forEach(function (old) {
    var name = Array.from(old.classList).find(function (c) { return icons[c]; });
    if (!name) return;
    var icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    for (var a of old.attributes) if (a.name != "title") icon.setAttribute(a.name, a.value);
    icon.classList.add("svg-inline--fa");
    icon.setAttribute("viewBox", "0 0 " + icons[name][0] + " " + icons[name][1]);
    icon.setAttribute("aria-hidden", "true");
    var path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("fill", "currentColor");
    path.setAttribute("d", icons[name][2]);
    icon.append(path);
    old.replaceWith(icon);
  });
})();
"""  # noqa: E501


def icon(library, name, brand):
    """[width, height, path] of an icon; the library holds its brands first and its solid icons
    last.
    """
    found = re.findall(rf'[{{,]"?{name}"?:\[(\d+),(\d+),\[[^\]]*\],"\w+","([^"]+)"\]', library)
    if not found:
        raise ValueError(
            f"the theme's Font Awesome has no icon {name!r}: is it spelled as in its catalogue?"
        )
    width, height, path = found[0 if brand else -1]
    return [int(width), int(height), path]


def used(pages):
    """{icon: whether it is a brand's} of all pages, by the classes they write."""
    names = {}
    for text in pages:
        for classes in CLASSES.findall(text):
            kinds = set(classes.split())
            for name in kinds:
                if name.startswith("fa-") and name not in ("fa-solid", "fa-brands", "fa-lg"):
                    names[name] = bool(kinds & {"fab", "fa-brands"})
    return names


def lighten(app, error):
    if error or app.builder.name != "html":
        return
    out = Path(app.outdir)
    (out / ".nojekyll").touch()  # else GitHub would not serve _static
    pages = {path: path.read_text() for path in out.rglob("*.html") if "_static" not in path.parts}
    script = out / "_static" / "scripts" / "fontawesome.js"
    # the whole library, once more from the theme: an earlier build may have left the short one
    whole = next(
        Path(folder)
        for folder in app.builder.theme.get_theme_dirs()
        if (Path(folder) / "static/scripts/fontawesome.js").exists()
    )
    library = (whole / "static" / "scripts" / "fontawesome.js").read_text()
    licence = (
        (whole / "static" / "scripts" / "fontawesome.js.LICENSE.txt").read_text().strip(" /*!\n")
    )
    icons = {
        name: icon(library, name.removeprefix("fa-"), brand)
        for name, brand in sorted(used(pages.values()).items())
    }
    script.write_text(SCRIPT % (re.sub(r"\s*\n\s*\*?\s*", " · ", licence), json.dumps(icons)))
    for path, text in pages.items():
        lighter = THEBE.sub("", text)
        if path.name != "search.html":
            lighter = SEARCH.sub("", lighter)
        if lighter != text:
            path.write_text(lighter)


def setup(app):
    app.connect("build-finished", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
