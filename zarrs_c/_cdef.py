"""The header as cffi's parser takes it: declarations only, no preprocessor."""

import os
import re

from zarrs_c._paths import get_include

_CONSTANT = re.compile(r"^#define (ZRC_\w+)\s+(\d+)u?\s*$", re.MULTILINE)


def get_cdef():
    """The declarations of the installed `zarrs_c.h` for cffi's ABI mode: `ffi.cdef(zarrs_c.get_cdef())`.

    With `ffi.dlopen(zarrs_c.get_library_path())` that is all that a program in Python or PyPy needs. Constants
    (`lib.ZRC_OK`, ...) are there; ZRC_INIT is not: use `ffi.new("zrc_sink *")` and set `struct_size`.
    """
    with open(os.path.join(get_include(), "zarrs_c.h"), encoding="utf-8") as header:
        text = re.sub(r"/\*.*?\*/", "", header.read(), flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", text, flags=re.DOTALL)
    text = _CONSTANT.sub(r"//const \1 \2", text)
    text = re.sub(r"^#(?:.*\\\n)*.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^//const (\w+) (\d+)", r"#define \1 \2", text, flags=re.MULTILINE)
    return re.sub(r"\n\s*\n+", "\n", re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)).strip() + "\n"
