"""What a page of the built book costs its reader: python benchmarks/pages.py before|after [--html
_build/html] [book/NAME.html …]

For every page, in Debian's chromium on a line of 10 Mbit/s with 40 ms delay and an empty cache:
bytes and requests until the page is at rest and once it was scrolled to its end (images that load
late count there), MathJax apart; milliseconds to the first contentful paint and until the last
equation is typeset; and the layout shifts added up, those while scrolling included. `transferred`
is what comes over the line from a host that compresses text, as most do; `plain` is the same
without.

Bytes are exact. Times are the smallest of the repetitions and belong to the machine: compare two
runs of one day. Writes results/benchmark_pages.json under the given name and leaves the other name
as it was. No test asserts a time.
"""

import argparse
import functools
import gzip
import io
import json
import pathlib
import sys
import time

from playwright.sync_api import TimeoutError, sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "browser"))
from fe import reproduce

from serving import ARGUMENTS, CHROMIUM, Quiet, served

TEXT = (".html", ".js", ".css", ".svg", ".json", ".txt")
LINE = {
    "offline": False,
    "latency": 40,
    "downloadThroughput": 10e6 / 8,
    "uploadThroughput": 10e6 / 8,
}
WATCH = """
window.fe = {shift: 0, shifted: [], typeset: null};
new PerformanceObserver(list => { for (const e of list.getEntries()) { window.fe.shift += e.value;
  for (const s of e.sources || []) if (s.node) window.fe.shifted.push([e.value, (s.node.id || s.node.className || s.node.nodeName) + '']); } })
  .observe({type: 'layout-shift', buffered: true});
const wait = setInterval(() => { const m = window.MathJax; if (m && m.startup && m.startup.promise) {
  clearInterval(wait); m.startup.promise.then(() => { window.fe.typeset = performance.now(); }); } }, 5);
"""  # noqa: E501


@functools.cache
def packed(path, changed):
    return gzip.compress(pathlib.Path(path).read_bytes(), 6)


class Compressing(Quiet):
    """A server that sends text as gzip, as the usual hosts do."""

    def send_head(self):
        path = pathlib.Path(self.translate_path(self.path))
        if path.suffix not in TEXT or not path.is_file():
            return super().send_head()
        data = packed(str(path), path.stat().st_mtime_ns)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return io.BytesIO(data)


def visit(browser, url):
    """One visit with an empty cache; the numbers of one page."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=2)
    context.add_init_script(WATCH)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", LINE)
    address, sizes = {}, {}

    def received(event):
        entry = sizes.setdefault(event["requestId"], [0, 0])
        entry[1] += event["dataLength"]

    session.on(
        "Network.requestWillBeSent",
        lambda e: address.__setitem__(e["requestId"], e["request"]["url"]),
    )
    session.on("Network.dataReceived", received)
    session.on(
        "Network.loadingFinished",
        lambda e: sizes.setdefault(e["requestId"], [0, 0]).__setitem__(0, e["encodedDataLength"]),
    )

    def count():
        asked = {k: u for k, u in address.items() if u.startswith("http")}
        mathjax = {k for k, u in asked.items() if "/mathjax/" in u}
        add = lambda keys, i: sum(sizes.get(k, (0, 0))[i] for k in keys)
        rest = asked.keys() - mathjax
        return {
            "requests": len(asked),
            "transferred": int(add(rest, 0)),
            "plain": add(rest, 1),
            "mathjax_transferred": int(add(mathjax, 0)),
            "mathjax_plain": add(mathjax, 1),
        }

    page.goto(url, wait_until="load", timeout=30_000)
    page.wait_for_function(
        "() => !document.querySelector('.math') || window.fe.typeset", timeout=120_000
    )
    page.wait_for_load_state("networkidle", timeout=120_000)
    row = {"at_load": count()}
    painted = page.evaluate(
        "() => (performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime"
    )
    row["first_paint_ms"], row["typeset_ms"] = (
        round(painted),
        round(page.evaluate("() => window.fe.typeset || 0")),
    )
    row["shift_at_load"] = round(page.evaluate("() => window.fe.shift"), 4)
    page.evaluate("""async () => { for (let y = 0; y < document.documentElement.scrollHeight; y += 700) {
        window.scrollTo(0, y); await new Promise(done => setTimeout(done, 40)); } }""")  # noqa: E501
    page.wait_for_load_state("networkidle", timeout=120_000)
    row["to_the_end"], row["shift"] = count(), round(page.evaluate("() => window.fe.shift"), 4)
    worst = page.evaluate("() => window.fe.shifted.sort((a, b) => b[0] - a[0]).slice(0, 3)")
    context.close()
    return row, worst


def patient(browser, url, tries=3):
    """On a busy machine a load now and then never ends; that says nothing about the page."""
    for left in reversed(range(tries)):
        try:
            return visit(browser, url)
        except TimeoutError:
            if not left:
                raise
            print(f"{url}: no end in half a minute, once more", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=["before", "after"])
    parser.add_argument("pages", nargs="*", help="all pages without")
    parser.add_argument("--html", type=pathlib.Path, default=ROOT / "_build" / "html")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--out", type=pathlib.Path, default=ROOT / "results" / "benchmark_pages.json"
    )
    chosen = parser.parse_intermixed_args()
    html = chosen.html.resolve()
    names = chosen.pages or sorted(
        str(p.relative_to(html))
        for p in [*html.glob("book/**/*.html"), html / "search.html", html / "genindex.html"]
    )
    began, rows = time.perf_counter(), {}
    with served(html, Compressing) as address, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        version = browser.version
        for name in names:
            runs = [patient(browser, f"{address}/{name}") for _ in range(chosen.repeat)]
            rows[name], worst = runs[-1]
            for key in ("first_paint_ms", "typeset_ms", "shift_at_load", "shift"):
                rows[name][key] = min(run[key] for run, _ in runs)
            end = rows[name]["to_the_end"]
            print(
                f"{name}: {end['transferred'] / 1e3:.0f} kB ({end['plain'] / 1e3:.0f} plain), "
                f"paint {rows[name]['first_paint_ms']} ms, "
                f"typeset {rows[name]['typeset_ms']} ms, shift {rows[name]['shift']}",
                worst if rows[name]["shift"] > 0.01 else "",
                flush=True,
            )
        browser.close()
    heaviest = {
        size: max(rows, key=lambda n: rows[n]["to_the_end"][size])
        for size in ("transferred", "plain")
    }
    provenance = reproduce.provenance(
        time.perf_counter() - began,
        repeat=chosen.repeat,
        line=LINE,
        window="1440 x 900, 2 device pixels a pixel",
    )
    record = (
        json.loads(chosen.out.read_text())
        if chosen.out.exists()
        else {"what": "what a page costs its reader; see benchmarks/pages.py"}
    )
    record[chosen.name] = {
        "provenance": provenance | {"browser": f"chromium {version}"},
        "heaviest": heaviest,
        "pages": rows,
    }
    reproduce.save_json(chosen.out, record)
    print("heaviest:", heaviest)


if __name__ == "__main__":
    main()
