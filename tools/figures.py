"""Sphinx extension of this book: every picture with its size, so that nothing jumps when it
arrives, in few bytes, fetched when the reader comes near.

110 dots an inch are one pixel each; a figure with 220 is shown at half its pixels, crisp on the
screens of today. PNG becomes WebP without loss where that is smaller. The frames of live figures,
data URIs in the notebooks, become files, fetched when a reader reaches for the slider.
"""

import base64
import hashlib
import io
import re
from pathlib import Path

from PIL import Image

# with the link to itself that Sphinx puts around a picture of given width
PICTURE = re.compile(
    r'(?:(<a class="[^"]*image-reference" href=")[^"]*(">))?<img\b[^>]*?\bsrc="([^"]*)"[^>]*>'
)
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
INCH = 110  # pixels of the page; `figure.dpi` of fe.plot.STYLE


def smallest(data):
    """A picture as it is or as lossless WebP, whichever is less; its suffix; its width and height
    on the page.
    """
    picture, buffer = Image.open(io.BytesIO(data)), io.BytesIO()
    kind, inch = picture.format.lower(), picture.info.get("dpi", (INCH, INCH))
    size = [max(1, round(n * INCH / dpi)) for n, dpi in zip(picture.size, inch)]
    if kind == "png":
        clear = "A" in picture.mode or "transparency" in picture.info
        picture.convert("RGBA" if clear else "RGB").save(buffer, format="webp", lossless=True)
        if buffer.tell() < len(data):
            return buffer.getvalue(), "webp", *size
    return data, kind, *size


def rewrite(body, read, store):
    """A page's HTML with its pictures rewritten. `read` gives the bytes behind a src or None,
    `store` keeps a picture and gives its src.
    """
    count = 0

    def replace(match):
        nonlocal count
        before, after, src = match.groups()
        if (data := read(src)) is None:
            return match[0]
        data, kind, width, height = smallest(data)
        tag = match[0][match[0].index("<img") :]
        attributes = dict(ATTRIBUTE.findall(tag))
        if "width" not in attributes:
            attributes |= {"width": width, "height": height}
        if not re.search(r"%|display", attributes.get("style", "")):
            attributes.pop("style", None)  # pixels, which would keep a figure from shrinking
        attributes |= {"src": store(data, kind), "decoding": "async"}
        attributes |= {"loading": "lazy"} if count else {}
        count += 1
        link = before + attributes["src"] + after if before else ""
        pairs = (f'{name}="{value}"' for name, value in attributes.items())
        return f"{link}<img {' '.join(pairs)}>"

    return PICTURE.sub(replace, body)


def rewrite_page(app, pagename, templatename, context, doctree):
    if app.builder.name != "html" or "<img" not in context.get("body", ""):
        return
    folder = Path(app.outdir) / "_images"
    folder.mkdir(exist_ok=True)
    sources = {name: Path(app.srcdir) / path for path, name in app.builder.images.items()}

    def read(src):
        if src.startswith("data:image/"):
            return base64.b64decode(src.partition(",")[2])
        source = sources.get(src.rpartition("_images/")[2])
        return source.read_bytes() if source and source.suffix != ".svg" else None

    def store(data, kind):
        name = f"{hashlib.sha256(data).hexdigest()[:20]}.{kind}"
        (folder / name).write_bytes(data)
        return context["pathto"](f"_images/{name}", 1)

    context["body"] = rewrite(context["body"], read, store)


def clean(app, error):
    """Pictures that no page shows go: Sphinx copies all under their old names too, and an earlier
    build may have left some.
    """
    if not error and app.builder.name == "html":
        text = "".join(path.read_text() for path in Path(app.outdir).rglob("*.html"))
        shown = set(re.findall(r'_images/([^"]+)"', text))
        for path in (Path(app.outdir) / "_images").glob("*"):
            if path.name not in shown:
                path.unlink()


def setup(app):
    app.connect("html-page-context", rewrite_page)
    app.connect("build-finished", clean)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
