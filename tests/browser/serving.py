"""Serve the built book on this machine and open its pages as a reader would."""

import contextlib
import functools
import http.server
import pathlib
import re
import threading
from urllib.parse import urlparse

ROOT = pathlib.Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
TRACES = ROOT / "_build" / "traces"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 300_000  # milliseconds: what is awaited comes, and on a busy machine it comes late
VIEWS = {
    "light": (1440, 900, "light"),
    "dark": (1440, 900, "dark"),
    "phone": (360, 740, "light"),
    "phone-dark": (360, 740, "dark"),
}


def pages():
    """Every page of the build, chapters first; the redirect at the root is none."""
    return sorted(
        (
            path.relative_to(HTML).as_posix()
            for path in HTML.rglob("*.html")
            if "_static" not in path.parts and path != HTML / "index.html"
        ),
        key=lambda name: (name.count("/") != 1, name),
    )


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    # a page asks for thirty files at once; those beyond the queue would wait for a second each
    request_queue_size = 64


@contextlib.contextmanager
def served(folder, handler=Quiet):
    server = Server(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def visit(browser, url, view="light", before=lambda page: None):
    """A page in one view, loaded and with its mathematics typeset. Of an error within, the trace
    (`playwright show-trace`) and a picture stay in _build/traces, and the error says so.
    """
    width, height, scheme = VIEWS[view]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.add_init_script("localStorage.setItem('mode', 'auto')")  # as the system does
    context.set_default_timeout(PATIENCE)
    context.tracing.start()
    page = context.new_page()
    before(page)
    try:
        page.goto(url, wait_until="load")
        page.wait_for_function(
            "() => !document.querySelector('.math') || (window.MathJax && MathJax.startup && "
            "MathJax.startup.promise && document.querySelector('mjx-container'))"
        )
        page.evaluate(
            "() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => true)"
        )
        page.wait_for_load_state("networkidle")
        yield page
    except BaseException as error:
        kept = TRACES / re.sub(r"\W+", "-", f"{urlparse(url).path} {view}").strip("-")
        context.tracing.stop(path=f"{kept}.zip")
        page.screenshot(path=f"{kept}.png")
        error.add_note(f"{kept}.zip and {kept}.png show the page")
        raise
    finally:
        context.close()
