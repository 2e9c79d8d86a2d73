"""Give a copy of the book its own address, everywhere: python tools/publish.py URL [--site URL]
[--authors "Ada One; Bo Two"]

URL is the repository, https://host/owner/name. The rendered book's address follows from it on
GitHub (https://owner.github.io/name);
elsewhere name it with --site. Rewritten are _config.yml, CITATION.cff, the set-up cells and the
Colab edition; what stays is in git.
"""

import argparse
import pathlib
import re
from urllib.parse import urlparse

import setup_cell

ROOT = pathlib.Path(__file__).resolve().parents[1]


def checked(url, name):
    """The address without a slash at its end, if it may be published."""
    address, host = urlparse(url), urlparse(url).hostname or ""
    if (
        address.scheme != "https"
        or not re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", host)
        or re.search(r"[\s\"'<>{}|\\^`]", url)
        or address.query
        or address.fragment
    ):
        raise SystemExit(f"{name} {url!r} is no address of the form https://host/owner/name")
    if name == "URL" and len(address.path.strip("/").split("/")) != 2:
        raise SystemExit(f"{name} {url!r} names no owner and repository: https://host/owner/name")
    if url.rstrip("/") == setup_cell.PLACEHOLDER:
        raise SystemExit(
            f"{url} is the placeholder that this book comes with, and nobody's: whoever "
            "registered it could run code in your readers' notebooks. Name your own repository"
        )
    return url.rstrip("/")


def site_of(url):
    address = urlparse(url)
    owner, name = address.path.strip("/").split("/")
    return f"https://{owner.lower()}.github.io/{name}" if address.hostname == "github.com" else None


def set_line(text, pattern, line, what):
    """`text` with the one line that matches `pattern` replaced."""
    text, found = re.subn(pattern, lambda match: line, text, flags=re.MULTILINE)
    if found != 1:
        raise SystemExit(f"{what}: {found} lines match {pattern!r}, one is needed")
    return text


def configure(url, site, root=ROOT):
    path = root / "_config.yml"
    text = set_line(path.read_text(), r"^  url: \S+$", f"  url: {url}", path.name)
    provider = (
        "gitlab" if "gitlab" in urlparse(url).hostname else "github"
    )  # how addresses of files and issues are made
    text = set_line(
        text,
        r"^      repository_provider: \w+",
        f"      repository_provider: {provider}",
        path.name,
    )
    text = re.sub(r"^  baseurl: .*\n", "", text, flags=re.MULTILINE)
    if site:
        text = set_line(text, r"^html:$", f"html:\n  baseurl: {site}", path.name)
    path.write_text(text)


def cite(url, site, authors, root=ROOT):
    path = root / "CITATION.cff"
    text = re.sub(r"^(repository-code|url): .*\n", "", path.read_text(), flags=re.MULTILINE)
    text = set_line(
        text,
        r"^type: software$",
        f'type: software\nrepository-code: "{url}"' + (f'\nurl: "{site}"' if site else ""),
        path.name,
    )
    if authors:
        names = [name.strip().rpartition(" ") for name in authors.split(";")]
        entries = "".join(
            f'  - family-names: "{last}"\n    given-names: "{given}"\n'
            if given
            else f'  - name: "{last}"\n'
            for given, _, last in names
        )
        text = set_line(
            text, r"^authors:\n(?: {2}[ -].*\n)+(?=\S)", "authors:\n" + entries, path.name
        )
        config = root / "_config.yml"
        config.write_text(
            set_line(
                config.read_text(),
                r"^author: .*$",
                f"author: {', '.join(' '.join(filter(None, (given, last))) for given, _, last in names)}",  # noqa: E501
                config.name,
            )
        )
    path.write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url", nargs="?")
    parser.add_argument(
        "--check",
        action="store_true",
        help="only say whether the address in _config.yml may be published",
    )
    parser.add_argument("--site", help="address of the rendered book")
    parser.add_argument("--authors", help='"Given Family; Given Family"')
    arguments = parser.parse_args()
    if arguments.check:
        print(
            "published at",
            checked(
                re.search(r"^  url: (\S+)$", (ROOT / "_config.yml").read_text(), re.MULTILINE)[1],
                "URL",
            ),
        )
        return
    if not arguments.url:
        parser.error("name the address of your repository, https://host/owner/name")
    url = checked(arguments.url, "URL")
    site = checked(arguments.site, "--site") if arguments.site else site_of(url)
    import colab

    before = colab.Addresses()
    configure(url, site)
    cite(url, site, arguments.authors)
    setup_cell.main()
    colab.move(before)
    print(
        f"\nThe book is at home in {url}"
        + (
            f", its pages at {site}"
            if site
            else "; name the pages' address with --site to have canonical links"
        )
        + ".\n"
        "Look at `git diff`, run `python3 run.py test`, commit, and push a tag v"
        + setup_cell.wheel().split("/v")[-1].split("/")[0]
        + ": the notebooks install that release's wheel."
    )


if __name__ == "__main__":
    main()
