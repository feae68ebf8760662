"""Writes docs/c-api.md, the reference of the C ABI, from the comments of include/zarrs_c.h.

python scripts/c_reference.py            # after a change to the header
python scripts/c_reference.py --check    # says whether that is due
"""

from __future__ import annotations

import re
import sys

from c_header import HEADER, IMPORT_HEADER, ROOT, Section, functions, introduction, sections

REFERENCE = ROOT / "docs" / "c-api.md"


def paragraphs(comment: str) -> str:
    """A comment as Markdown: examples that are set in stay as they are, the rest flows."""
    out = []
    for part in re.split(r"\n\n", comment):
        indented = all(line.startswith("    ") for line in part.split("\n"))
        out.append(part if indented else escaped(part).replace("\n- ", "\n\n- "))
    return "\n\n".join(out)


def escaped(text: str) -> str:
    """Stars and angles mean nothing special, unless they stand between backticks."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<>])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def chapter(section: Section) -> str:
    out = [f"## {section.title}\n"]
    for item in section.items:
        if "---- begin" in item.code or item.code.startswith("#if"):
            continue
        if item.comment:
            out.append(paragraphs(item.comment) + "\n")
        if item.code:
            out.append(f"```h\n{item.code}\n```\n")
    return "\n".join(out)


def index(chapters: list[Section], header: str) -> str:
    """Every function, under its section."""
    rows = []
    for section in chapters:
        names = [f.name for f in functions("\n".join(item.code for item in section.items))]
        links = ", ".join(f"`{name}`" for name in names)
        rows.append(f"| [{section.title}](#{anchor(section.title)}) | {links} |")
    return "\n".join(["| Section | Functions |", "|---|---|", *rows])


def reference() -> str:
    header = HEADER.read_text()
    chapters = sections(header)
    python = [s for s in sections(IMPORT_HEADER.read_text()) if s.title in ("Python's objects", "Import")]
    for item in (item for section in python for item in section.items):
        if item.code.startswith("static inline"):
            item.code = item.code.split(" {\n")[0] + ";"
    return "\n".join(
        [
            "# The C ABI, function by function",
            "",
            "Written by `scripts/c_reference.py` from the comments of [zarrs_c.h](../include/zarrs_c.h), in its order.",
            "[embedding.md](embedding.md) tells the same as a story.",
            "",
            index(chapters, header),
            "",
            "## In general\n",
            paragraphs(introduction(header).split("\n\n", 2)[2]),
            "",
            *map(chapter, chapters),
            "# For Python extension modules\n",
            paragraphs(introduction(IMPORT_HEADER.read_text())),
            "",
            *map(chapter, python),
        ]
    )


def main() -> None:
    text = reference().rstrip() + "\n"
    if "--check" in sys.argv[1:]:
        if not REFERENCE.exists() or REFERENCE.read_text() != text:
            sys.exit("run scripts/c_reference.py: docs/c-api.md is out of date")
        return
    REFERENCE.write_text(text)


if __name__ == "__main__":
    main()
