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

PICTURE = re.compile(r'<img\b[^>]*?\bsrc="([^"]*)"[^>]*>')
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


def rewrite(app, pagename, templatename, context, doctree):
    """The pictures of a page; all but the first are fetched late."""
    if app.builder.name != "html" or "<img" not in context.get("body", ""):
        return
    sources = {name: Path(app.srcdir, path) for path, name in app.builder.images.items()}
    first = PICTURE.search(context["body"]).start()

    def replace(match):
        source = sources.get(match[1].rpartition("_images/")[2])
        if match[1].startswith("data:image/"):
            data = base64.b64decode(match[1].partition(",")[2])
        elif source and source.suffix != ".svg":
            data = source.read_bytes()
        else:
            return match[0]
        data, kind, width, height = smallest(data)
        path = Path(app.outdir, "_images", f"{hashlib.sha256(data).hexdigest()[:20]}.{kind}")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        attributes = {"width": width, "height": height} | dict(ATTRIBUTE.findall(match[0]))
        if "px" in attributes.get("style", ""):  # which would keep a figure from shrinking
            del attributes["style"]
        attributes |= {"src": context["pathto"](f"_images/{path.name}", 1), "decoding": "async"}
        attributes |= {"loading": "lazy"} if match.start() > first else {}
        pairs = (f'{name}="{value}"' for name, value in attributes.items())
        return f"<img {' '.join(pairs)}>"

    context["body"] = PICTURE.sub(replace, context["body"])


def clean(app, error):
    """Pictures that no page shows go: Sphinx copies all under their old names too, and an earlier
    build may have left some.
    """
    if not error and app.builder.name == "html":
        text = "".join(path.read_text() for path in Path(app.outdir).rglob("*.html"))
        shown = set(re.findall(r'_images/([^"]+)"', text))
        for path in Path(app.outdir, "_images").glob("*"):
            if path.name not in shown:
                path.unlink()


def setup(app):
    app.connect("html-page-context", rewrite)
    app.connect("build-finished", clean)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
