"""Screenshots of every page of the built book: python tools/screenshots.py FOLDER [page …]. Light,
dark and phone width.
"""

import pathlib
import sys

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "browser"))
from serving import ARGUMENTS, HTML, VIEWS, pages, served, visit


def main(folder, wanted):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with served(HTML) as address, sync_playwright() as p:
        browser = p.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        for page_name in wanted or pages():
            for view in VIEWS:
                with visit(browser, f"{address}/{page_name}", view) as page:
                    page.evaluate(
                        "() => document.querySelectorAll('img').forEach(i => i.loading = 'eager')"
                    )
                    page.wait_for_load_state("networkidle")
                    page.screenshot(
                        path=folder / f"{pathlib.Path(page_name).stem}-{view}.png", full_page=True
                    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
