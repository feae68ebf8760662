"""The C ABI as C sees it: the header by itself, the library's symbols, and the programs in `tests/c`.

The programs are compiled against the header and the library of the installed package, and each runs twice: as it is,
and under valgrind's memcheck, which must see no wrong access and no definite leak. No suppressions.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import simple

import zarrs_c

SOURCES = Path(__file__).parent / "c"
HEADER = Path(zarrs_c.get_include()) / "zarrs_c.h"
PROGRAMS = ["read_three_ways", "write", "bad_input", "lifecycle", "host_store", "host_write", "fork"]

WARNINGS = ["-pedantic", "-Wall", "-Wextra", "-Werror"]
AS_C = ["-x", "c", "-std=c11", "-Wconversion", "-Wshadow", "-Wstrict-prototypes", "-Wc++-compat"]
AS_CPP = [
    "-x",
    "c++",
    "-std=c++17",
    "-Wconversion",
    "-Wshadow",
    "-Wold-style-cast",
    "-Wzero-as-null-pointer-constant",
]

# With it the library keeps no blocks of memory, whose use would not be noticed.
SEEN = ["env", "ZARRS_C_SYSTEM_ALLOCATOR=1"]
VALGRIND = [*SEEN, "valgrind", "--quiet", "--error-exitcode=99", "--num-callers=30"]
LEAKS = ["--leak-check=full", "--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"]


def run(*command, timeout=280):
    """The output of a command, which must succeed."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def c_compiler() -> str:
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name.split()[0]):
            return name
    pytest.fail("no C compiler: install gcc or clang, or set CC")


def compilers() -> list[str]:
    """`cc` and `c++`, which must be there, and clang where it is."""
    return ["cc", "c++", *filter(shutil.which, ("clang", "clang++"))]


@pytest.mark.parametrize("compiler", compilers())
def test_the_header_compiles_alone_and_twice_without_a_warning(compiler, tmp_path):
    program = tmp_path / "alone"
    language = AS_CPP if compiler.endswith("++") else AS_C
    # What is warned of are the header's own texts: it is found by -I, not as a system header.
    run(compiler, *language, *WARNINGS, "-I", HEADER.parent, SOURCES / "header_alone.c", "-o", program)
    run(program)


def test_the_header_that_is_installed_is_the_one_of_the_sources():
    source = Path(__file__).parent.parent / "include" / "zarrs_c.h"
    assert HEADER.read_text() == source.read_text(), "run `make build`"


def functions_of_the_header() -> set[str]:
    code = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    return set(re.findall(r"\b(zrc_\w+)\(", code))


def test_the_library_exports_the_functions_of_the_header_and_nothing_else():
    """The C libraries inside (zstd, blosc, bzip2, ...) must not answer for those of other libraries."""
    if sys.platform == "darwin":
        lines = run("nm", "-gUj", zarrs_c.get_library_path()).splitlines()
        exported = {line.strip().removeprefix("_") for line in lines if line.strip()}
    else:
        lines = run("nm", "--dynamic", "--defined-only", zarrs_c.get_library_path()).splitlines()
        exported = {line.split()[-1] for line in lines if line}
    declared = functions_of_the_header()
    assert len(declared) > 50
    assert exported == declared


def formula(rows: int, columns: int) -> np.ndarray:
    """What all arrays of the C programs hold."""
    return (1000 * np.arange(rows)[:, None] + np.arange(columns)).astype("int32")


def write_plain(path: Path) -> None:
    data = formula(95, 63)
    try:
        import zarr
    except ImportError:  # zarr-python 3 has no release for Python 3.10
        simple.store(path, data, (10, 7))
    else:
        array = zarr.create_array(str(path), shape=data.shape, chunks=(10, 7), dtype="int32", fill_value=0)
        array[...] = data


def write_holes(path: Path) -> None:
    """Only the first of four chunks is there."""
    data = np.zeros((20, 20), "int32")
    data[:10, :10] = formula(10, 10)
    stored = simple.store(path, data, (10, 10))
    metadata = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(re.sub(r'"fill_value":\s*0', '"fill_value":-7', metadata))
    # Chunks of nothing but zeros were not written.
    assert stored.chunk_files() == [stored.chunk_path(0, 0)]


def write_slow(folder: Path) -> None:
    """`slow`, whose 400 chunks take long to decode, and `slow_broken`, the same but for a first chunk cut short."""
    slow = simple.store_slow(folder, chunk_bytes=1 << 20)
    broken = shutil.copytree(slow.path, folder / "slow_broken", copy_function=os.link)
    first = broken / slow.chunk_key(0, 0)
    head = first.read_bytes()[:20]
    first.unlink()
    first.write_bytes(head)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """The arrays that the C programs read."""
    root = tmp_path_factory.mktemp("c")
    write_plain(root / "plain")
    simple.store(root / "sharded", formula(48, 40), (4, 5), shards=(16, 20))
    write_holes(root / "holes")
    broken = simple.store(root / "broken", formula(95, 63), (10, 7)).chunk_path(1, 1)
    broken.write_bytes(broken.read_bytes()[:-9])
    strings = simple.store(root / "strings", np.zeros(3, "int32"), (3,)).path / "zarr.json"
    strings.write_text(
        '{"zarr_format": 3, "node_type": "array", "shape": [3], "data_type": "string", "fill_value": "",'
        ' "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [3]}},'
        ' "chunk_key_encoding": {"name": "default"}, "codecs": [{"name": "vlen-utf8"}]}'
    )
    for name, text in [("group", '{"zarr_format": 3, "node_type": "group"}'), ("nonsense", '{"nonsense": ')]:
        (root / name).mkdir()
        (root / name / "zarr.json").write_text(text)
    write_slow(root)
    return root


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    """Compile a program of `tests/c`, once."""
    built = tmp_path_factory.mktemp("programs")

    def compile(name: str, *options: str) -> Path:
        # Without "=": `env` would take such a name for a variable.
        out = built / "".join([name, *options]).replace("=", "-")
        if not out.exists():
            (library,) = zarrs_c.get_library_dirs()
            link = [f"-L{library}", f"-Wl,-rpath,{library}", "-lzarrs_c", "-pthread"]
            standard = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-g", *WARNINGS]
            source = [f"-I{HEADER.parent}", SOURCES / f"{name}.c", "-o", out]
            run(*c_compiler().split(), *standard, *options, *source, *link)
        return out

    return compile


@pytest.fixture(scope="session")
def valgrind():
    if not sys.platform.startswith("linux"):
        pytest.skip("valgrind is for Linux")
    if shutil.which("valgrind") is None:
        pytest.fail("valgrind is not installed (Debian: apt-get install valgrind libc6-dbg)")


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name, program, folder):
    assert run(program(name), folder) == "ok\n"


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "fork"])
def test_program_under_valgrind(name, program, folder, valgrind):
    assert run(*VALGRIND, *LEAKS, program(name), folder) == "ok\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="addresses are fixed by -no-pie on Linux")
def test_a_program_at_fixed_addresses_keeps_its_queues_alive(program, folder, valgrind):
    """In it `&zrc_queue_complete` is the address of a jump of its own, by which the library must know its queues."""
    assert run(*VALGRIND, *LEAKS, program("lifecycle", "-fno-pic", "-no-pie"), folder) == "ok\n"


# For minutes instead: `make test-sanitizers`.
RANDOM_SECONDS = float(os.environ.get("ZARRS_C_RANDOM_SECONDS", "2"))
RANDOM_SEED = os.environ.get("ZARRS_C_RANDOM_SEED", "1")
ADDRESS_SANITIZER = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def random_calls(program, folder, *before, options=(), seconds=RANDOM_SECONDS):
    command = [*before, program("random_calls", *options), folder, seconds, RANDOM_SEED]
    assert run(*command, timeout=280 + 20 * seconds) == "ok\n"


@pytest.mark.timeout(300 + 20 * RANDOM_SECONDS)
def test_valid_calls_in_every_order(program, folder):
    random_calls(program, folder)


@pytest.mark.timeout(300 + 20 * RANDOM_SECONDS)
def test_valid_calls_in_every_order_under_valgrind(program, folder, valgrind):
    random_calls(program, folder, *VALGRIND, *LEAKS, seconds=RANDOM_SECONDS / 2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="gcc's sanitizers, as Debian has them")
@pytest.mark.timeout(300 + 20 * RANDOM_SECONDS)
@pytest.mark.parametrize(
    "name", ["random_calls", "read_three_ways", "write", "lifecycle", "host_store", "host_write"]
)
def test_under_the_address_sanitizer(name, program, folder):
    """The C side is instrumented, and both sides' allocations are the sanitizer's: a wrong free is seen on either."""
    if name == "random_calls":
        random_calls(program, folder, *SEEN, options=ADDRESS_SANITIZER)
    else:
        assert run(*SEEN, program(name, *ADDRESS_SANITIZER), folder) == "ok\n"


THREAD_SANITIZER = "-fsanitize=thread"


@pytest.fixture(scope="session")
def thread_sanitizer(tmp_path_factory):
    """What comes before a program that gcc's thread sanitizer has instrumented.

    The sanitizer wants its part of the address space to itself, which the kernel's random addresses may hit."""
    if not sys.platform.startswith("linux"):
        pytest.skip("gcc's sanitizers, as Debian has them")
    folder = tmp_path_factory.mktemp("tsan")
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    build = [*c_compiler().split(), THREAD_SANITIZER, folder / "main.c", "-o", folder / "main"]
    if subprocess.run(build, capture_output=True).returncode != 0:
        pytest.skip("the compiler has no thread sanitizer")
    # What the library does is not seen: nor may half of it be, where it calls malloc or memcpy.
    (folder / "suppressions").write_text(f"called_from_lib:{Path(zarrs_c.get_library_path()).name}\n")
    environment = ["env", f"TSAN_OPTIONS=suppressions={folder}/suppressions die_after_fork=0"]
    for before in (["setarch", "-R", *environment], environment):  # some containers forbid the first
        if subprocess.run([*before, folder / "main"], capture_output=True).returncode == 0:
            return before
    pytest.fail("a program with gcc's thread sanitizer does not run here")


@pytest.mark.timeout(300 + 20 * RANDOM_SECONDS)
@pytest.mark.parametrize("name", [*PROGRAMS, "random_calls"])
def test_under_the_thread_sanitizer(name, program, folder, thread_sanitizer):
    """A program that keeps to the contract has no race: `HAND_OVER` and `TAKE_OVER` are what the header promises."""
    if name == "random_calls":
        random_calls(program, folder, *thread_sanitizer, options=[THREAD_SANITIZER])
    else:
        assert run(*thread_sanitizer, program(name, THREAD_SANITIZER), folder) == "ok\n"


def test_the_thread_sanitizer_sees_a_race(program, folder, thread_sanitizer):
    """Without what the header promises the same program has races: the sanitizer does look."""
    racy = program("random_calls", THREAD_SANITIZER, "-DNO_HAND_OVERS")
    done = subprocess.run(
        [*thread_sanitizer, racy, folder, "0", "1"], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 66
    assert "data race" in done.stderr


def generated(script: str):
    run(sys.executable, Path(__file__).parent.parent / "scripts" / script, "--check")


def test_the_table_for_extensions_is_up_to_date():
    generated("c_table.py")


def test_the_reference_of_the_header_is_up_to_date():
    generated("c_reference.py")


def test_cython_declares_what_the_header_declares():
    declared = (Path(__file__).parent.parent / "zarrs_c" / "_capi.pxd").read_text()
    code = re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.DOTALL)
    words = functions_of_the_header() | set(re.findall(r"^#define (ZRC_\w+) ", code, re.MULTILINE))
    words |= set(re.findall(r"^typedef struct (zrc_\w+)", code, re.MULTILINE))
    assert sorted(word for word in words if not re.search(rf"\b{word}\b", declared)) == []


def test_cffi_declares_what_the_header_declares():
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(zarrs_c.get_cdef())
    library = ffi.dlopen(zarrs_c.get_library_path())
    for name in functions_of_the_header():
        assert getattr(library, name)
    assert library.ZRC_E_CODEC == 4
    assert ffi.sizeof("zrc_completion") == 48


def test_the_library_has_a_name_of_its_own():
    if not sys.platform.startswith("linux"):
        pytest.skip("sonames are ELF's")
    assert "Library soname: [libzarrs_c.so]" in run("readelf", "-d", zarrs_c.get_library_path())


def test_fork_under_valgrind(program, folder, valgrind):
    """Parent and children make no wrong access, and the parent leaks nothing.

    Leaks cannot be judged in a child: what belonged to the parent's threads is lost there by nature of fork."""
    assert run(*VALGRIND, "--leak-check=no", program("fork"), folder) == "ok\n"
    assert run(*VALGRIND, *LEAKS, program("fork"), folder, "exec") == "ok\n"
