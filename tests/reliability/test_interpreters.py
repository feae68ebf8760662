"""More than one interpreter in a process, and interpreters without a lock: what is not supported says so."""

from __future__ import annotations

import importlib
import sys

import pytest
from helpers.running import python

SUB = """
    import sys
    try:
        import _interpreters as interpreters  # Python 3.13
    except ImportError:
        import _xxsubinterpreters as interpreters
    import zarrs_c

    lines = ["try: import zarrs_c", "except ImportError: print('refused', flush=True)", "else: print('imported')"]
    code = "\\n".join(lines)
    sub = interpreters.create()
    interpreters.run_string(sub, code)
    zarrs_c.sync.open_array(sys.argv[1])[...]
    interpreters.destroy(sub)
    print("well")
"""


def _has_interpreters() -> bool:
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        return True
    return False


@pytest.mark.skipif(not _has_interpreters(), reason="this Python has no module for sub-interpreters")
def test_a_sub_interpreter_refuses_the_import_and_the_main_one_reads_on(field):
    done = python(SUB, field.path)
    assert done.stdout.endswith("refused\nwell\n"), done.stdout


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Pythons without a lock came with 3.13")
def test_a_free_threaded_interpreter_takes_its_lock_back(field):
    if sys._is_gil_enabled():
        pytest.skip("this Python has its lock")
    done = python("import sys, zarrs_c; print(sys._is_gil_enabled())", flags=["-W", "ignore"])
    assert done.stdout == "True\n"
