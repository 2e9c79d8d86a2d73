"""Give a copy of the book its own address, everywhere:

    python tools/publish.py https://host/owner/name [--site URL] [--authors "Ada One; Bo Two"]

Rewritten are _config.yml, CITATION.cff, the set-up cells and the Colab edition. On GitHub the
rendered book's address follows (https://owner.github.io/name); elsewhere name it with --site.
"""

import argparse
import pathlib
import re
import sys

import setup_cell
import yaml

import colab

ROOT = pathlib.Path(__file__).resolve().parents[1]


def checked(url, name="URL"):
    """The address without a slash at its end, if it may be published."""
    url = url.rstrip("/")
    if not re.fullmatch(r"https://([a-z0-9-]+\.)+[a-z]{2,}(/[\w.~-]+)*", url):
        sys.exit(f"{name} {url!r} is no address of the form https://host/owner/name")
    if name == "URL" and url.count("/") != 4:
        sys.exit(f"{name} {url!r} names no owner and repository: https://host/owner/name")
    if url == setup_cell.PLACEHOLDER:
        sys.exit(
            f"{url} is the placeholder that this book comes with, and nobody's: whoever "
            "registered it could run code in your readers' notebooks. Name your own repository"
        )
    return url


def site_of(url):
    *_, host, owner, name = url.split("/")
    return f"https://{owner.lower()}.github.io/{name}" if host == "github.com" else None


def configure(path, url, site, authors):
    """In _config.yml, line by line, since a parser would lose its comments."""
    provider = "gitlab" if "gitlab" in url else "github"  # how addresses of files are made
    lines = {
        r"^  url: \S+$": f"  url: {url}",
        r"repository_provider: \w+": f"repository_provider: {provider}",
        r"^html:(\n  baseurl: .*)?$": f"html:\n  baseurl: {site}" if site else "html:",
    }
    if authors:
        lines[r"^author: .*$"] = "author: " + ", ".join(authors)
    text = path.read_text()
    for pattern, line in lines.items():
        text, found = re.subn(pattern, lambda _: line, text, flags=re.MULTILINE)
        if found != 1:
            sys.exit(f"{path.name}: {pattern!r} matches in {found} places, one is needed")
    path.write_text(text)


def cite(path, url, site, authors):
    citation = yaml.safe_load(path.read_text()) | {"repository-code": url, "url": site}
    if authors:
        names = [name.rpartition(" ") for name in authors]
        citation["authors"] = [
            {"family-names": last, "given-names": given} if given else {"name": last}
            for given, _, last in names
        ]
    kept = {key: value for key, value in citation.items() if value}
    path.write_text(yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=1000))


def publish(url, site=None, authors=(), root=ROOT):
    before = colab.Addresses(root)
    configure(root / "_config.yml", url, site, authors)
    cite(root / "CITATION.cff", url, site, authors)
    setup_cell.main(root=root)
    colab.move(before, root)
    tag = setup_cell.wheel(root).split("/")[-2]
    pages = f"its pages at {site}" if site else "its pages have no address: name it with --site"
    print(
        f"\nThe book is at home in {url}, {pages}. Look at `git diff`, run `python3 run.py test`,"
    )
    print(f"commit, and push a tag {tag}: the notebooks install that release's wheel.")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url", nargs="?", help="your repository, https://host/owner/name")
    parser.add_argument("--site", help="address of the rendered book")
    parser.add_argument("--authors", default="", help='"Given Family; Given Family"')
    parser.add_argument("--check", action="store_true", help="say whether the address will do")
    asked = parser.parse_args()
    if asked.check:
        asked.url = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    if not asked.url:
        parser.error("name the address of your repository, https://host/owner/name")
    url = checked(asked.url)
    if asked.check:
        return print("published at", url)
    site = checked(asked.site, "--site") if asked.site else site_of(url)
    publish(url, site, [name.strip() for name in asked.authors.split(";") if name.strip()])


if __name__ == "__main__":
    main()
