"""Give a copy of the book its own address, from which `sync` makes all else:

    python tools/publish.py https://host/owner/name [--site URL] [--authors "Ada One; Bo Two"]

On GitHub the rendered book's address follows (https://owner.github.io/name); elsewhere name it
with --site. `--check` says where the copy is at home, and fails where that is nowhere.
"""

import argparse
import pathlib
import re
import sys

import setup_cell
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]


def checked(url, name="URL"):
    """The address without a slash at its end, if it may be published."""
    url = url.rstrip("/")
    if not re.fullmatch(r"https://([a-z0-9-]+\.)+[a-z]{2,}(/[\w.~-]+)*", url):
        sys.exit(f"{name} {url!r} is no address of the form https://host/owner/name")
    if name == "URL" and url.count("/") != 4:
        sys.exit(f"{name} {url!r} names no owner and repository: https://host/owner/name")
    if url == setup_cell.PLACEHOLDER:
        who = "nobody's: whoever registered it could run code in your readers' notebooks"
        sys.exit(f"{url} is the placeholder that this book comes with, {who}. Name your own")
    return url


def site_of(url):
    *_, host, owner, name = url.split("/")
    return f"https://{owner.lower()}.github.io/{name}" if host == "github.com" else None


def publish(url, site=None, authors=(), root=ROOT):
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    citation |= {"repository-code": url, "url": site}
    provider = "gitlab" if "gitlab" in url else "github"  # how addresses of files are made
    lines = {  # of _config.yml, since a parser would lose its comments
        r"^  url: \S+$": f"  url: {url}",
        r"repository_provider: \w+": f"repository_provider: {provider}",
        r"^html:(\n  baseurl: .*)?$": f"html:\n  baseurl: {site}" if site else "html:",
    }
    if authors:
        lines[r"^author: .*$"] = "author: " + ", ".join(authors)
        names = [name.rpartition(" ") for name in authors]
        person = lambda given, last: {"family-names": last, "given-names": given}
        citation["authors"] = [person(a, b) if a else {"name": b} for a, _, b in names]
    text = (root / "_config.yml").read_text()
    for pattern, line in lines.items():
        text, found = re.subn(pattern, lambda _: line, text, flags=re.MULTILINE)
        if found != 1:
            sys.exit(f"_config.yml: {pattern!r} matches in {found} places, one is needed")
    (root / "_config.yml").write_text(text)
    kept = {key: value for key, value in citation.items() if value}
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True, width=1000)
    (root / "CITATION.cff").write_text(text)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("url", nargs="?", default="")
    parser.add_argument("--site")
    parser.add_argument("--authors", default="")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args()
    if not asked.check:
        url, names = checked(asked.url), asked.authors.split(";")
        site = checked(asked.site, "--site") if asked.site else site_of(url)
        return publish(url, site, [name.strip() for name in names if name.strip()])
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    url, tag = checked(config["repository"]["url"]), setup_cell.wheel(ROOT).split("/")[-2]
    site = config["html"].get("baseurl", "an address that you have yet to name, by --site")
    print(f"The book is at home in {url}, its pages at {site}.")
    print(f"`git diff`, `run.py test`, commit, push a tag {tag}: notebooks install its wheel.")


if __name__ == "__main__":
    main()
