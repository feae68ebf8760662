"""`import zarrs_c` is light: no thread, no file but its own, no module that it does not need."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from helpers.running import python

import zarrs_c

PACKAGE = Path(zarrs_c.__file__).parent

PROGRAM = """
    import json, os, sys, threading, time
    import numpy
    loaded, opened = set(sys.modules), []
    sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)
    def threads():
        return len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else None
    before = threads()
    start = time.perf_counter()
    import zarrs_c
    seconds = time.perf_counter() - start
    opened = list(opened)
    print(json.dumps({
        "modules": sorted(set(sys.modules) - loaded), "opened": opened, "seconds": seconds,
        "threads": [before, threads()], "python_threads": threading.active_count(),
        "stats": list(zarrs_c.stats()),
    }))
"""


@pytest.fixture(scope="module")
def imported():
    return json.loads(python(PROGRAM).stdout)


def test_import_starts_no_thread(imported):
    before, after = imported["threads"]
    assert before == after
    assert imported["python_threads"] == 1


def test_import_opens_no_file_but_those_of_its_package(imported):
    standard = (sys.base_prefix, sys.prefix)
    foreign = [
        path
        for path in imported["opened"]
        if not path.startswith(str(PACKAGE)) and not (path.startswith(standard) and "/lib/python" in path)
    ]
    assert foreign == []
    others = {path for path in imported["opened"] if not path.startswith(str(PACKAGE))}
    assert not [path for path in others if "site-packages" in path]


def test_import_loads_few_modules_and_none_of_the_heavy_ones(imported):
    modules = imported["modules"]
    heavy = {
        "asyncio",
        "json",
        "urllib",
        "subprocess",
        "ssl",
        "socket",
        "ctypes",
        "concurrent",
        "logging",
        "zarr",
    }
    heavy |= {"multiprocessing", "importlib.metadata", "importlib.resources", "inspect", "typing_extensions"}
    assert sorted(heavy & set(modules)) == []
    assert len([name for name in modules if not name.startswith("zarrs_c")]) <= 15, modules


def test_import_does_nothing_yet(imported):
    assert set(imported["stats"]) == {0}


def test_import_time_is_told(imported, record_property):
    """Never asserted: a benchmark says more. It is shown with -rP or in the XML report."""
    record_property("seconds_over_numpy", imported["seconds"])
    print(f"import zarrs_c: {1000 * imported['seconds']:.1f} ms over numpy")


def test_the_public_names_are_there():
    names = [
        "open_array",
        "open_store",
        "read_into",
        "read",
        "read_many",
        "read_encoded_chunk",
        "configure",
        "stats",
        "sync",
        "Array",
        "Store",
        "Stats",
        "EncodedChunk",
        "Error",
        "NotFoundError",
        "StorageError",
        "CodecError",
        "UnsupportedError",
        "SelectionError",
        "BufferMismatchError",
        "TimeoutError",
        "ShutdownError",
        "PanicError",
        "abi_version",
        "__version__",
    ]
    assert [name for name in names if not hasattr(zarrs_c, name)] == []
    for name in names:
        public = getattr(zarrs_c, name)
        if isinstance(public, type):
            assert public.__module__ == "zarrs_c" or public.__module__.startswith("zarrs_c."), name
        if callable(public):
            assert public.__doc__, name
    assert set(zarrs_c.__all__) <= set(dir(zarrs_c))


def test_the_package_ships_its_types_and_header():
    for name in ("py.typed", "__init__.pyi", "include/zarrs_c.h"):
        assert (PACKAGE / name).exists(), name


def test_versions_agree():
    from importlib.metadata import version

    assert version("zarrs-c") == zarrs_c.__version__
    major, minor = zarrs_c.abi_version()
    header = (PACKAGE / "include" / "zarrs_c.h").read_text()
    assert f"#define ZRC_ABI_MAJOR {major}u" in header
    assert f"#define ZRC_ABI_MINOR {minor}u" in header


@pytest.mark.skipif(os.name != "posix", reason="symbols of ELF and Mach-O")
def test_a_second_import_in_a_new_interpreter_works_with_warnings_as_errors():
    python("import zarrs_c, zarrs_c.sync", flags=["-X", "dev", "-W", "error"])
