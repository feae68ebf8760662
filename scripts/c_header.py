"""Reads the C headers of this project: sections, and in them declarations with the comments that belong to them.

Not a C parser: it knows the few forms that include/*.h is written in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "include" / "zarrs_c.h"
IMPORT_HEADER = ROOT / "include" / "zarrs_c_import.h"

FUNCTION = re.compile(
    r"^(?P<result>[A-Za-z][\w ]*?[ *]+)(?P<name>zrc_\w+)\((?P<parameters>.*)\);$", re.DOTALL
)


@dataclass
class Item:
    """A declaration, or several that stand together under one comment."""

    code: str
    comment: str = ""


@dataclass
class Section:
    title: str
    items: list[Item] = field(default_factory=list)


@dataclass
class Function:
    name: str
    result: str  # with a space or a star at its end
    parameters: str

    @property
    def pointer(self) -> str:
        """As a member of the table."""
        return f"{self.result}(*{self.name})({self.parameters});"


def comment_text(comment: str) -> str:
    """A comment's text, without its stars; lists and examples keep their lines."""
    body = comment.strip().removeprefix("/*").removesuffix("*/")
    return "\n".join(re.sub(r"^ \* ?", "", line).rstrip() for line in body.strip().split("\n")).strip()


def introduction(text: str) -> str:
    """The comment that a header begins with."""
    return comment_text(text[: text.index("*/") + 2])


def sections(text: str) -> list[Section]:
    """The sections of a header, in order. A blank line ends an item, unless it is within braces."""
    found: list[Section] = []
    for part in re.split(r"^/\* ==== (?=\w)", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition(" =")
        section = Section(title)
        body = body[body.index("*/") + 2 :].split("\n#ifdef __cplusplus")[0]
        for block in blocks(body):
            match = re.match(r"/\*.*?\*/(?:\n|$)", block, re.DOTALL)
            comment = comment_text(match[0]) if match else ""
            section.items.append(Item(block[match.end() if match else 0 :].strip(), comment))
        found.append(section)
    return found


def blocks(body: str):
    lines: list[str] = []
    for line in body.strip().split("\n"):
        code = "\n".join(lines)
        if line or code.count("{") > code.count("}") or code.count("/*") > code.count("*/"):
            lines.append(line)
        elif lines:
            yield code
            lines = []
    if lines:
        yield "\n".join(lines)


def without_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def functions(text: str) -> list[Function]:
    """Every function that a header declares, in its order."""
    found = []
    code = re.sub(r"^\s*#(?:.*\\\n)*.*$", "", without_comments(text), flags=re.MULTILINE)
    code = code.replace('extern "C" {', "")
    code = re.sub(r"\{[^{}]*\}", "{}", code)  # the bodies of structs
    for statement in re.split(r"(?<=;)", code):
        match = FUNCTION.match(" ".join(statement.split()))
        if match and not match["result"].startswith(("typedef", "return", "static")):
            found.append(Function(match["name"], match["result"], match["parameters"]))
    return found
