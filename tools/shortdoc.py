"""Sphinx extension of this book, for docstrings whose sections read `name : what it is` on one
line.

Napoleon takes what follows the colon for a type; here it becomes the description. The fields of
named tuples that say only
"Alias for field number 0" are left out.
"""

import re

SECTIONS = {"Parameters", "Returns", "Raises", "Attributes", "Yields"}


def describe(lines):
    """The docstring's lines with `name : text` of each section split into `name` and an indented
    `text`.
    """
    result, section, ended = [], False, False
    for i, line in enumerate(lines):
        following = lines[i + 1].strip() if i + 1 < len(lines) else ""
        if re.fullmatch(r"-{3,}", following):
            section, ended = line.strip() in SECTIONS, False
        elif section and not line.strip():
            ended = True
        elif section and not re.fullmatch(r"-{3,}", line.strip()):
            indented = line != line.lstrip()
            if ended and not indented and not re.match(r"[\w\*, ]+ : ", line):
                result.append("")  # two empty lines end a section: what follows is prose
                section = False
            elif not indented and (item := re.match(r"([\w\*, ]+?) : +(.*)", line)):
                result += [
                    item[1],
                    "    " + item[2].replace("|", r"\|"),
                ]  # |x| would be a substitution
                continue
            ended = False
        result.append(line)
    return result


def process(app, what, name, obj, options, lines):
    lines[:] = describe(lines)


def skip(app, what, name, obj, skip, options):
    return (
        True
        if str(getattr(obj, "__doc__", "") or "").startswith("Alias for field number")
        else None
    )


def setup(app):
    app.connect("autodoc-process-docstring", process, priority=400)  # before napoleon's 500
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}
