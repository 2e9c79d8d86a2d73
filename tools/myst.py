r"""MyST Markdown of a chapter as Markdown that Colab, JupyterLab and GitHub show well, with the
numbers of the built book.

    plain(text, numbers, page)        one Markdown cell; `numbers` from book_numbers.read(),
    `page`
    as "book/05-moving-on-the-surface"

What becomes of it: a theorem or an admonition is a quotation with a bold title, a drop-down or a
solution folds (`<details>`), a labelled
equation carries its number as `\tag`, a reference is the text that it has in the book, with a
link
where it leads to another page.
A directive or role that is not listed here is an error.
"""

import html
import posixpath
import re

FENCE = re.compile(r"^(\s*)(`{3,}|~{3,}|:{3,})(.*)$")
ADMONITIONS = (
    "admonition",
    "note",
    "tip",
    "hint",
    "important",
    "warning",
    "caution",
    "attention",
    "danger",
    "error",
    "seealso",
    "margin",
    "sidebar",
    "topic",
)
BOXES = ("grid", "grid-item", "grid-item-card", "card", "tab-set", "tab-item", "card-carousel")
PROOFS = (
    "theorem",
    "lemma",
    "definition",
    "proposition",
    "corollary",
    "remark",
    "axiom",
    "conjecture",
    "assumption",
    "example",
    "property",
    "observation",
    "criterion",
    "algorithm",
)
INLINE = re.compile(
    r"(?P<escape>\\[\\`$*_{}\[\]()#+.!|-])"
    r"|\{(?P<role>[a-zA-Z][\w:.+-]*)\}(?P<ticks>`+)(?P<target>.+?)(?<!`)(?P=ticks)(?!`)"
    r"|(?P<code>(?P<mark>`+)(?!`).+?(?<!`)(?P=mark)(?!`))"
    r"|(?P<math>\$\$.+?\$\$|\$(?![\s$])(?:\\.|[^$\\])*?(?<![\s\\])\$(?!\d))"
    r"|(?P<image>!?)\[(?P<words>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<link>[^()\s]+)\)",
    re.DOTALL,
)


class MystError(ValueError):
    """MyST that has no plain form here."""


def plain(text, numbers, page, where="", inside=None, link=None):
    """`text` without MyST.

    where : names notebook and cell in errors
    inside : label of the exercise whose solution is still open from the cells before (see
        `solution_after`)
    link : page -> address, for references to other pages; None leaves their text without a link
    """
    return _Plain(numbers, page, where or page, link or (lambda page: None)).cell(text, inside)


def solution_after(text, inside=None):
    """Label of the exercise whose gated solution is open at the end of the cell, or None: the
    code
    cells that follow belong to it.
    """
    for line in text.splitlines():
        if m := re.match(r"\s*(?:`{3,}|:{3,})\{solution-(start|end)\}\s*(\S*)", line):
            inside = m[2] if m[1] == "start" else None
    return inside


def cited(text):
    """Keys of references.bib that a cell cites, in order."""
    return [
        key.strip()
        for m in INLINE.finditer(text)
        if m["role"] and m["role"].startswith("cite")
        for key in m["target"].split(",")
    ]


def caption(cell):
    """(label, caption) of a code cell's figure, or (None, None)."""
    figure = cell["metadata"].get("mystnb", {}).get("figure", {})
    return figure.get("name"), figure.get("caption")


class _Plain:
    def __init__(self, numbers, page, where, link):
        self.numbers, self.page, self.where, self.address = numbers, page, where, link

    def fail(self, message):
        raise MystError(f"{self.where}: {message}")

    # -- cells and gates
    # --------------------------------------------------------------------------------------------

    def cell(self, text, inside):
        """Cut at the gates of solutions; what is inside folds."""
        out, first = [], True
        for gate, block in self.gated(text):
            if gate == "block":
                body = self.blocks(block).strip("\n")
                if inside and body:
                    title = f"Solution to {self.name(inside)}" + (
                        "" if not first else ", continued"
                    )
                    out.append(_details(title, body))
                elif body:
                    out.append(body)
            else:
                first = False
                inside = block
        return "\n\n".join(out) + "\n" if out else ""

    def gated(self, text):
        lines, kept, i = text.split("\n"), [], 0
        while i < len(lines):
            m = FENCE.match(lines[i])
            if not m:
                kept.append(lines[i])
                i += 1
                continue
            end = self.close(lines, i, m)
            if gate := re.match(r"\{solution-(start|end)\}\s*(\S*)", m[3]):
                yield "block", "\n".join(kept)
                kept = []
                yield "gate", gate[2] if gate[1] == "start" else None
            else:
                kept += lines[i : end + 1]
            i = end + 1
        yield "block", "\n".join(kept)

    # -- blocks
    # --------------------------------------------------------------------------------------------

    def close(self, lines, i, m):
        """Index of the line that closes the fence opened at line i."""
        for j in range(i + 1, len(lines)):
            mark = lines[j].strip()
            if len(mark) >= len(m[2]) and set(mark) == {m[2][0]}:
                return j
        self.fail(f"the fence {lines[i].strip()!r} is not closed")

    def blocks(self, text, flat=False):
        """Everything but gates. `flat`: display mathematics on one line, as quotations need it."""
        lines, out, words, i = text.split("\n"), [], [], 0

        def flush():
            if words:
                out.append(self.inline("\n".join(words)))
                words.clear()

        while i < len(lines):
            line = lines[i]
            if m := FENCE.match(line):
                flush()
                end = self.close(lines, i, m)
                info, body = m[3].strip(), [_dedent(s, len(m[1])) for s in lines[i + 1 : end]]
                if d := re.match(r"\{([^}]+)\}\s*(.*)$", info):
                    out += _indent(self.directive(d[1], d[2].strip(), body, flat), m[1])
                elif m[2][0] == ":":
                    self.fail(f"a colon fence without a directive: {line.strip()!r}")
                else:
                    tick = "`" * max(
                        3,
                        1
                        + max(
                            (
                                len(t)
                                for t in re.findall(r"^\s*(`{3,})", "\n".join(body), re.MULTILINE)
                            ),
                            default=2,
                        ),
                    )
                    out += _indent("\n".join([tick + info, *body, tick]), m[1])
                i = end + 1
            elif line.lstrip().startswith("$$") and not re.match(r"\s*\$\$.+?\$\$\s*[^\s(]", line):
                flush()
                end = i
                while len(re.findall(r"(?<!\\)\$\$", "\n".join(lines[i : end + 1]))) < 2:
                    end += 1
                    if end == len(lines):
                        self.fail(
                            f"display mathematics that starts with {line.strip()!r} is not closed"
                        )
                m = re.fullmatch(
                    r"(\s*)\$\$(.*?)\$\$\s*(?:\(([^()\s]+)\))?(.*)",
                    "\n".join(lines[i : end + 1]),
                    re.DOTALL,
                )
                out += _indent(self.equation(m[2], m[3], flat), m[1].replace("\n", ""))
                if m[4].strip():
                    words.append(m[4].strip())
                i = end + 1
            else:
                if re.match(r"\s*\([\w.:-]+\)=\s*$", line) or re.match(r"\s*(%|\+\+\+)", line):
                    flush()  # a target, a comment, a break of blocks
                elif re.match(r"\s*:\s+\S", line) and words and words[-1].strip():
                    self.fail(
                        f"a definition list, which Colab does not know: {line.strip()[:60]!r}"
                    )
                elif re.match(r"\s*\[\^[^\]]+\]:", line):
                    self.fail(f"a footnote, which JupyterLab does not know: {line.strip()[:60]!r}")
                else:
                    words.append(line)
                i += 1
        flush()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(out))

    def equation(self, body, label, flat):
        tag = f" \\tag{{{self.name(label).strip('()')}}}" if label else ""
        body = re.sub(r"^\s*\n|\s+$", "", body)
        if flat or "\n" not in body:
            if re.search(r"(?<!\\)%", body) and flat:
                self.fail("a comment inside display mathematics")
            return f"$${' '.join(body.split())}{tag}$$"
        return f"$$\n{body}{tag}\n$$"

    def directive(self, name, argument, lines, flat):
        options, body = _options(lines)
        if name.startswith("prf:"):
            kind = name[4:]
            if kind == "proof":
                return self.blocks(
                    f"*Proof.* {argument + ' ' if argument else ''}" + body.lstrip("\n"), flat
                )
            if kind not in PROOFS:
                self.fail(f"unknown directive {{{name}}}")
            title = kind.title() if "nonumber" in options else self.name(options.get("label"))
            return self.boxed(self.titled(title, argument), body)
        if name == "dropdown" or name in ADMONITIONS and "dropdown" in options.get("class", ""):
            return _details(self.inline(argument) or name.title(), self.blocks(body, flat))
        if name in ADMONITIONS:
            if name in ("admonition", "margin", "sidebar", "topic"):
                title = argument or ("Aside" if name in ("margin", "sidebar") else "")
            else:
                title, body = (
                    {"seealso": "See also"}.get(name, name.title()),
                    f"{argument}\n{body}" if argument else body,
                )
            return self.boxed(f"**{self.inline(title)}**" if title else "", body)
        if name == "exercise":
            title = "Exercise" if "nonumber" in options else self.name(options.get("label"))
            return self.titled(title, argument) + "\n\n" + self.blocks(body, flat).strip("\n")
        if name == "solution":
            return _details(f"Solution to {self.name(argument)}", self.blocks(body, flat))
        if name in ("figure", "image"):
            number = self.numbers.labels.get(options.get("name"))
            words = self.inline(" ".join(body.split()))
            below = f"\n\n*{f'{number}: ' if number else ''}{words}*" if words else ""
            return f"![{options.get('alt', '')}]({self.picture(argument)})" + below
        if name in BOXES:
            title = (
                f"**{self.inline(argument)}**\n\n"
                if argument and not re.fullmatch(r"[\d\s]+", argument)
                else ""
            )
            return title + self.blocks(body, flat)
        if name == "math":
            return self.equation(body, options.get("label"), flat)
        if name in ("code", "code-block"):
            return f"```{argument}\n{body}\n```"
        self.fail(f"unknown directive {{{name}}}")

    def boxed(self, title, body):
        inner = "\n\n".join(
            part for part in (title, self.blocks(body, flat=True).strip("\n")) if part
        )
        return "\n".join(f"> {line}".rstrip() for line in inner.split("\n"))

    def titled(self, name, argument):
        return f"**{name}**" + (f" ({self.inline(argument)})" if argument else "")

    # -- words
    # --------------------------------------------------------------------------------------------

    def inline(self, text):
        def one(m):
            if m["role"]:
                return self.role(m["role"], m["target"])
            if m["link"]:
                return self.link(m["image"], m["words"], m["link"])
            return m[0]

        out = INLINE.sub(one, text)
        rest = INLINE.sub(lambda m: "" if m["code"] or m["math"] or m["escape"] else m[0], out)
        if bad := re.search(
            r"\{[a-zA-Z][\w:.+-]*\}`|\{\{|\[\^[^\]]+\]|^\s*:{3,}", rest, re.MULTILINE
        ):
            self.fail(f"MyST that was not understood: {rest[bad.start() : bad.start() + 60]!r}")
        return out

    def role(self, name, raw):
        words, target = (
            (m[1].strip(), m[2])
            if (m := re.fullmatch(r"(.*?)\s*<([^<>]+)>", raw, re.DOTALL))
            else (None, raw.strip())
        )
        if name == "math":
            return f"${target}$"
        if name in ("sub", "sup", "kbd"):
            return f"<{name}>{html.escape(raw)}</{name}>"
        if name == "abbr":
            return re.sub(r"\s*\(.*", "", raw)
        if name == "doc":
            return self.to_page(
                words, posixpath.normpath(posixpath.join(posixpath.dirname(self.page), target))
            )
        if name not in (
            "eq",
            "numref",
            "ref",
            "prf:ref",
            "term",
            "cite",
            "cite:p",
            "cite:t",
            "cite:ps",
        ):
            self.fail(f"unknown role {{{name}}} in {{{name}}}`{raw}`")
        try:
            text, page = self.numbers.role(name, target)
        except KeyError:
            text, page = (
                self.numbers.labels.get(target, self.numbers.labels.get(target.lower())),
                None,
            )
            if text is None:
                self.fail(
                    f"{{{name}}}`{raw}`: no page of the book refers to {target!r}, and it "
                    "labels "
                    "no equation, theorem, exercise or figure"
                )
        if name.startswith("cite"):
            return text
        if words:
            number = text.split()[-1]
            text = self.inline(words.replace("%s", number).replace("{number}", number))
        return self.linked(text, page)

    def link(self, image, words, target):
        if re.match(r"[a-z]+:", target):
            return f"{image}[{words if image else self.inline(words)}]({target})"
        if image:
            return f"![{words}]({self.picture(target)})"
        if target.startswith("#"):
            return self.role("ref", f"{words} <{target[1:]}>" if words else target[1:])
        path = posixpath.normpath(
            posixpath.join(posixpath.dirname(self.page), target.split("#")[0])
        )
        return self.to_page(self.inline(words), re.sub(r"\.(ipynb|md)$", "", path))

    def to_page(self, words, page):
        if page not in self.numbers.titles:
            self.fail(f"a link to {page!r}, which is no page of the book")
        return self.linked(words or self.numbers.titles[page], page)

    def linked(self, text, page):
        address = self.address(page) if page and page != self.page else None
        return f"[{text}]({address})" if address else text

    def picture(self, target):
        """Pictures are looked for beside the book's source."""
        address = self.address(
            posixpath.normpath(posixpath.join(posixpath.dirname(self.page), target))
        )
        return address or target

    def name(self, label):
        """ "Theorem 5.1", "(5.3)", … of a label."""
        found = self.numbers.labels.get(label) or self.numbers.labels.get((label or "").lower())
        if not found:
            self.fail(f"the label {label!r} has no number in the book")
        return found


def _options(lines):
    """(options, body) of a directive's lines."""
    options, i = {}, 0
    while i < len(lines) and (m := re.match(r"\s*:([\w-]+):\s*(.*)$", lines[i])):
        options[m[1]] = m[2].strip()
        i += 1
    return options, "\n".join(lines[i:])


def _dedent(line, width):
    return line[width:] if not line[:width].strip() else line


def _indent(text, indent):
    return [indent + line if line else "" for line in text.split("\n")]


def _details(title, body):
    title = re.sub(r"`([^`]+)`", lambda m: f"<code>{html.escape(m[1])}</code>", title)
    return f"<details>\n<summary><b>{title}</b></summary>\n\n" + body.strip("\n") + "\n\n</details>"
