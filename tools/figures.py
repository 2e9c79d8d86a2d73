"""Sphinx extension of this book: every picture of a page with its size, in few bytes, fetched when
the reader comes near.

- `width` and `height` from the file's own resolution, so that nothing jumps when it arrives. 110
  dots an inch are one pixel each;
  a figure with 220 is shown at half its pixels, crisp on the screens of today. The style sheet lets
  it shrink with the page.
- PNG becomes WebP without loss where that is smaller. Data URIs (the frames of live figures) become
  files.
- All but a page's first picture load late; frames of live figures when a reader reaches for the
  slider.
"""

import base64
import hashlib
import io
import os
import re
from pathlib import Path

from PIL import Image

IMG = re.compile(r"<img\b[^>]*>")
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
FULL_SIZE = re.compile(
    r'(<a class="[^"]*image-reference" href=")[^"]*("><img [^>]*?src=")([^"]*)"'
)  # a picture that leads to itself
DATA = re.compile(r"data:image/(png|webp);base64,(.*)", re.DOTALL)
INCH = 110  # pixels of the page; `figure.dpi` of fe.plot.STYLE


def smallest(data):
    """The picture's bytes as they are or as lossless WebP, whichever is less, with the suffix that
    fits.
    """
    picture, buffer = Image.open(io.BytesIO(data)), io.BytesIO()
    kind = picture.format.lower()
    if kind == "png":
        picture.convert(
            "RGBA" if "A" in picture.mode or "transparency" in picture.info else "RGB"
        ).save(buffer, format="webp", lossless=True)
        if buffer.tell() < len(data):
            return buffer.getvalue(), "webp"
    return data, kind


def size(data):
    """Width and height on the page."""
    picture = Image.open(io.BytesIO(data))
    return tuple(
        max(1, round(n * INCH / dpi))
        for n, dpi in zip(picture.size, picture.info.get("dpi", (INCH, INCH)))
    )


def rewrite(body, read, store):
    """The page's HTML with its pictures rewritten. `read` gives the bytes behind a src or None;
    `store` keeps some, gives the new src.
    """
    count = 0

    def replace(match):
        nonlocal count
        attributes = dict(ATTRIBUTE.findall(match[0]))
        data = read(attributes.get("src", ""))
        if data is None:
            return match[0]
        if "width" not in attributes:
            width, height = size(data)
            attributes |= {"width": width, "height": height}
        if not re.search(r"%|display", attributes.get("style", "")):
            attributes.pop("style", None)  # pixels, which would keep a figure from shrinking
        attributes["src"] = store(*smallest(data))
        attributes["decoding"] = "async"
        if count:
            attributes["loading"] = "lazy"
        count += 1
        return "<img " + " ".join(f'{name}="{value}"' for name, value in attributes.items()) + ">"

    return FULL_SIZE.sub(r'\1\3\2\3"', IMG.sub(replace, body))


def rewrite_page(app, pagename, templatename, context, doctree):
    if app.builder.name != "html" or "<img" not in context.get("body", ""):
        return
    folder = Path(app.outdir) / "_images"
    folder.mkdir(exist_ok=True)
    up = "../" * pagename.count("/")
    sources = {name: Path(app.srcdir) / path for path, name in app.builder.images.items()}

    def read(src):
        if found := DATA.fullmatch(src):
            return base64.b64decode(found[2])
        name = os.path.basename(src)
        if "_images/" in src and name in sources and re.search(r"\.(png|jpe?g|webp)$", name):
            return sources[name].read_bytes()

    def store(data, kind):
        path = folder / f"{hashlib.sha256(data).hexdigest()[:20]}.{kind}"
        if not path.exists():
            path.write_bytes(data)
        return f"{up}_images/{path.name}"

    context["body"] = rewrite(context["body"], read, store)


def clean(app, error):
    """Sphinx has copied the pictures under their old names too, and an earlier build may have left
    some: those that no page shows go.
    """
    if error or app.builder.name != "html":
        return
    pages = (
        path.read_text() for path in Path(app.outdir).rglob("*.html") if "_static" not in path.parts
    )
    shown = {name for text in pages for name in re.findall(r'_images/([^"]+)"', text)}
    for path in (Path(app.outdir) / "_images").glob("*"):
        if path.name not in shown:
            path.unlink()


def setup(app):
    app.connect("html-page-context", rewrite_page)
    app.connect("build-finished", clean)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
