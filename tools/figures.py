"""Sphinx extension of this book: every picture with its size, so that nothing jumps when it
arrives, fetched when the reader comes near.

110 dots an inch are one pixel each; a figure with 220 is shown at half its pixels, crisp on the
screens of today. The frames of live figures, data URIs in the notebooks, become files.
"""

import base64
import hashlib
import re
from pathlib import Path

from PIL import Image

PICTURE = re.compile(r"<img\b[^>]*>")
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
FRAME = re.compile(r"data:image/(\w+);base64,(.*)")
INCH = 110  # pixels of the page; `figure.dpi` of fe.plot.STYLE
WIDE = 640  # pixels from which on a figure would be too small for a phone, where it scrolls instead


def rewrite(app, pagename, templatename, context, doctree):
    if app.builder.name != "html":
        return
    sources = {name: Path(app.srcdir, path) for path, name in app.builder.images.items()}

    def replace(match):
        shown = dict(ATTRIBUTE.findall(match[0])) | {"decoding": "async", "loading": "lazy"}
        source = sources.get(shown["src"].rpartition("_images/")[2])
        if frame := FRAME.fullmatch(shown["src"]):
            data = base64.b64decode(frame[2])
            name = f"{hashlib.sha256(data).hexdigest()[:20]}.{frame[1]}"
            Path(app.outdir, "_images").mkdir(exist_ok=True)
            Path(app.outdir, "_images", name).write_bytes(data)
            shown["src"] = context["pathto"](f"_images/{name}", 1)
        elif source and source.suffix == ".svg":
            width, height = re.search(r'width="(\d+)" height="(\d+)"', source.read_text()).groups()
            shown |= {"width": width, "height": height}
        elif source:
            with Image.open(source) as picture:
                inch = picture.info.get("dpi", (INCH, INCH))
                width, height = (round(n * INCH / dots) for n, dots in zip(picture.size, inch))
            shown |= {"width": width, "height": height}
            if "px" in shown.get("style", ""):  # which would keep it from shrinking
                del shown["style"]
        else:
            return match[0]
        pairs = (f'{name}="{value}"' for name, value in shown.items())
        image = f"<img {' '.join(pairs)}>"
        wide = source and source.suffix != ".svg" and shown["width"] > WIDE
        return f'<span class="wide">{image}</span>' if wide else image

    context["body"] = PICTURE.sub(replace, context.get("body", ""))


def setup(app):
    app.connect("html-page-context", rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
