"""Writes the table by which extension modules call the library without linking to it.

    python scripts/c_table.py            # after a function was added to include/zarrs_c.h
    python scripts/c_table.py --check    # says whether that is due

The order of the table is that of scripts/c_table.txt, to which new functions are only ever appended: an extension that
was compiled against a shorter table finds its functions where they were. Written are the part of
include/zarrs_c_import.h between its markers, and zarrs_c/_table.h, which fills the table.
"""

from __future__ import annotations

import sys

from c_header import HEADER, IMPORT_HEADER, ROOT, Function, functions

ORDER = ROOT / "scripts" / "c_table.txt"
FILLED = ROOT / "zarrs_c" / "_table.h"
BEGIN, END = "/* ---- begin of what scripts/c_table.py writes ---- */\n", "/* ---- end of it ---- */\n"


def declared() -> dict[str, Function]:
    """The functions of both headers; those of the second concern Python's objects."""
    python = IMPORT_HEADER.read_text().split(BEGIN)[0]
    return {function.name: function for function in [*functions(HEADER.read_text()), *functions(python)]}


def ordered(known: dict[str, Function]) -> list[str]:
    """The recorded order, and after it what is new."""
    recorded = [line for line in ORDER.read_text().split("\n") if line and not line.startswith("#")]
    if gone := [name for name in recorded if name not in known]:
        sys.exit(f"{ORDER.name} has functions that no header declares: {gone}. Their places must stay")
    return recorded + [name for name in known if name not in recorded]


def members(table: list[Function]) -> str:
    lines = []
    for function in table:
        line = f"  {function.pointer}"
        if len(line) > 120:
            head, _, tail = line.rpartition(", ")
            while len(head) > 118:
                head, _, more = head.rpartition(", ")
                tail = f"{more}, {tail}"
            line = f"{head},\n      {tail}"
        lines.append(line)
    return "\n".join(lines)


def import_header(table: list[Function]) -> str:
    names = "\n".join(f"#define {f.name} (ZRC_API->{f.name})" for f in table)
    generated = (
        "typedef struct zrc_api {\n"
        "  size_t struct_size;   /* of the installed table */\n"
        "  uint32_t abi_version; /* of the installed library: major << 16 | minor */\n"
        "  uint32_t reserved;\n"
        '  const char *version;  /* of the installed package, such as "0.1.0" */\n'
        f"{members(table)}\n"
        "} zrc_api;\n\n"
        "#ifndef ZRC_TABLE_ONLY\n"
        f"{names}\n"
        "#endif\n"
    )
    text = IMPORT_HEADER.read_text()
    before, rest = text.split(BEGIN)
    return before + BEGIN + generated + END + rest.split(END)[1]


def filled(table: list[Function], python: set[str]) -> str:
    entries = "\n".join(f"  {'NULL' if f.name in python else f.name}, /* {f.name} */" for f in table)
    return (
        "/* Written by scripts/c_table.py: the table of this library. What is NULL here is set by _api.pyx. */\n"
        "#ifndef ZARRS_C_TABLE_H\n"
        "#define ZARRS_C_TABLE_H\n\n"
        "#define ZRC_TABLE_ONLY\n"
        '#include "zarrs_c_import.h"\n\n'
        "static zrc_api zrc_table = {\n"
        "  sizeof(zrc_api), /* struct_size */\n"
        "  ZRC_ABI_MAJOR << 16 | ZRC_ABI_MINOR, /* abi_version */\n"
        "  0, /* reserved */\n"
        "  NULL, /* version */\n"
        f"{entries}\n"
        "};\n\n"
        "#endif\n"
    )


def main() -> None:
    known = declared()
    names = ordered(known)
    table = [known[name] for name in names]
    python = {f.name for f in functions(IMPORT_HEADER.read_text().split(BEGIN)[0])}
    comment = "".join(line + "\n" for line in ORDER.read_text().split("\n") if line.startswith("#"))
    written = {
        ORDER: comment + "".join(f"{name}\n" for name in names),
        IMPORT_HEADER: import_header(table),
        FILLED: filled(table, python),
    }
    stale = [path for path, text in written.items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv[1:]:
        if stale:
            sys.exit(f"run scripts/c_table.py: out of date are {', '.join(path.name for path in stale)}")
        return
    for path in stale:
        path.write_text(written[path])
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
