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
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing but this machine
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


def watch(tab, wrong):
    """Errors of the page's scripts, and whatever it asks of other hosts, go to the list `wrong`.
    Returns what ends this.
    """

    def message(m):
        if m.type == "error":
            wrong.append(f"console: {m.text} {m.location.get('url', '')}")

    def request(r):
        if urlparse(r.url).hostname not in (None, "127.0.0.1", ""):
            wrong.append(f"asked for {r.url}, outside of the book")

    error = lambda e: wrong.append(f"script: {e}")
    listeners = {"console": message, "pageerror": error, "request": request}
    for event, listener in listeners.items():
        tab.on(event, listener)
    return lambda: [tab.remove_listener(*pair) for pair in listeners.items()]


@contextlib.contextmanager
def visit(tab, url, view="light", wrong=None):
    """A page in one view, loaded and with its mathematics typeset, in a tab that other pages were
    in before it, as readers have it (and scripts are compiled once). What goes wrong there goes to
    the list `wrong`. Of an error within, the trace (`playwright show-trace`) and a picture stay in
    _build/traces, and the error says so.
    """
    width, height, scheme = VIEWS[view]
    tab.set_viewport_size({"width": width, "height": height})
    tab.emulate_media(media="screen", color_scheme=scheme, reduced_motion="no-preference")
    stop = watch(tab, [] if wrong is None else wrong)
    tab.context.tracing.start_chunk()
    try:
        tab.goto(url, wait_until="load")
        tab.wait_for_function(
            "() => !document.querySelector('.math') || (window.MathJax && MathJax.startup && "
            "MathJax.startup.promise && document.querySelector('mjx-container'))"
        )
        tab.evaluate(
            "() => window.MathJax && MathJax.startup && MathJax.startup.promise.then(() => true)"
        )
        tab.wait_for_load_state("networkidle")
        yield tab
    except BaseException as error:
        kept = TRACES / re.sub(r"\W+", "-", f"{urlparse(url).path} {view}").strip("-")
        tab.context.tracing.stop_chunk(path=f"{kept}.zip")
        tab.screenshot(path=f"{kept}.png")
        error.add_note(f"{kept}.zip and {kept}.png show the page")
        raise
    else:
        tab.context.tracing.stop_chunk()
    finally:
        stop()
