"""Where links lead: inside the book to a page and an anchor that exist, outside of it to an address
in good form, and from each
reference of the bibliography to the work. Needs the built book and no browser; nothing is asked of
the network."""

import re
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlparse

import pytest
import yaml
from pybtex.database import parse_file

from serving import HTML, ROOT, pages

if not pages():
    pytest.skip(f"no built book in {HTML}: run `python3 run.py book`", allow_module_level=True)

sys.path.insert(0, str(ROOT / "tools"))
from setup_cell import PLACEHOLDER  # noqa: E402

REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
REFERENCES = parse_file(str(ROOT / "book" / "references.bib"), bib_format="bibtex").entries


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "a" and attributes.get("href"):
            self.links.append(attributes["href"])
        self.ids |= {attributes[key] for key in ("id", "name") if attributes.get(key)}


PARSED = {(HTML / name).resolve(): Links((HTML / name).read_text()) for name in pages()}


@pytest.mark.parametrize("name", pages())
def test_links_inside_the_book(name):
    here, broken = (HTML / name).resolve(), []
    for link in PARSED[here].links:
        if re.match(r"[a-z]+:", link) or link.startswith("//"):
            continue
        target, _, anchor = link.partition("#")
        path = (here.parent / unquote(target.partition("?")[0])).resolve() if target else here
        if not path.exists() or (
            anchor and path in PARSED and unquote(anchor) not in PARSED[path].ids
        ):
            broken.append(link)
    assert not broken


@pytest.mark.parametrize("name", pages())
def test_links_that_leave_the_book_are_in_good_form(name):
    wrong = []
    for link in PARSED[(HTML / name).resolve()].links:
        if re.match(r"[a-z]+:|//", link) and not link.startswith("mailto:"):
            address = urlparse(link)
            good_host = re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", address.hostname or "")
            strange = link.startswith(PLACEHOLDER) and REPOSITORY != PLACEHOLDER
            good = good_host and address.scheme == "https" and not strange
            if not good or re.search(r"[\s<>\"{}|\\^`]", link):
                wrong.append(link)
    assert not wrong, "a link out of the book is https, to a host with a dot that is somebody's"


def good_isbn(text):
    digits = [int(d) for d in re.sub(r"\D", "", text)]
    return (
        len(digits) == 13 and sum(d * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10 == 0
    )


@pytest.mark.parametrize("key", REFERENCES)
def test_every_reference_can_be_found(key):
    """By its DOI, its arXiv number, an address, or for an old book its ISBN, in good form."""
    field = REFERENCES[key].fields
    arxiv = (
        field.get("eprint") or (re.match(r"arXiv:(.+)", field.get("journal", "")) or [None, ""])[1]
    )
    found = [
        re.fullmatch(r"10\.\d{4,9}/\S+", field.get("doi", "")),
        re.fullmatch(r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}", arxiv),
        re.fullmatch(r"https://([a-z0-9-]+\.)+[a-z]{2,}/\S+", field.get("url", "")),
        good_isbn(field.get("isbn", "")),
    ]
    given = [name for name in ("doi", "eprint", "url", "isbn") if name in field]
    assert any(found), f"{key} has {given or 'no identifier'}: none in good form"


def test_every_reference_is_cited():
    """That every citation has its reference, the build sees."""
    text = "".join(
        path.read_text() for kind in ("md", "ipynb") for path in (ROOT / "book").rglob(f"*.{kind}")
    )
    cited = {
        key.strip()
        for keys in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
        for key in keys.split(",")
    }
    assert set(REFERENCES) <= cited
