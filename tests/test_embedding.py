"""Other projects on the installed wheel: the examples, each built as its readers would, read real arrays.

Nothing here sees this tree but the examples' sources, which are copied first.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.installed import EXAMPLES, ROOT, Installed

import zarrs_c


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="session")
def http_url(caddy, field):
    caddy.upload(field.path, "embedding")
    return caddy.url("embedding")


@pytest.fixture(scope="session")
def s3(seaweedfs, field):
    """An S3 URL, and the environment in which it can be read."""
    seaweedfs.upload(field.path, "embedding")
    return seaweedfs.url("embedding"), seaweedfs.environment


@pytest.fixture(scope="session")
def total(field):
    return f"{field.data.sum(dtype='float64'):.1f}"


@pytest.fixture(scope="session")
def c_example(installed):
    folder = installed.copy("c")
    installed.run("make", "-s", f"PYTHON={installed.python}", cwd=folder)
    return folder


def test_the_wheel_is_imported_and_not_this_tree(installed):
    where = installed.run(installed.python, "-c", "import zarrs_c; print(zarrs_c.__file__)").strip()
    assert Path(where).is_relative_to(installed.folder)
    assert not Path(where).is_relative_to(ROOT)


@pytest.mark.parametrize("program", ["read", "poll"])
def test_c_reads_local_and_remote_arrays(program, installed, c_example, field, total, http_url, s3):
    run = lambda url, env=None: installed.run(c_example / program, url, environment=env).strip()  # noqa: E731
    assert run(field.path) == total
    assert run(http_url) == total
    assert run(s3[0], s3[1]) == total


def test_c_says_what_is_wrong(installed, c_example, tmp_path):
    assert "no array there" in installed.run(c_example / "read", tmp_path, fails=True)
    assert "ZRC_E_NOT_FOUND" in installed.run(c_example / "poll", tmp_path, fails=True)


def test_c_has_a_store_of_its_own(installed, c_example, field, total):
    assert installed.run(c_example / "host_store", field.path.parent, field.path.name).strip() == total
    assert "ZRC_E_NOT_FOUND" in installed.run(c_example / "host_store", field.path.parent, "no", fails=True)


def test_cpp_by_cmake(installed, field, total, http_url, tmp_path):
    folder = installed.copy("cpp")
    cmake = installed.bin / "cmake"
    where = installed.run(installed.python, "-m", "zarrs_c", "--cmakedir").strip()
    installed.run(cmake, "-S", folder, "-B", folder / "build", f"-Dzarrs_c_DIR={where}")
    installed.run(cmake, "--build", folder / "build")
    program = folder / "build" / "read_cpp"
    assert installed.run(program, field.path).split() == [total, total]
    assert installed.run(program, http_url).split() == [total, total]
    assert "ZRC_E_NOT_FOUND" in installed.run(program, tmp_path, fails=True)


def has_libuv() -> bool:
    command = ["pkg-config", "--exists", "libuv"]
    return bool(shutil.which("pkg-config")) and subprocess.run(command).returncode == 0


@pytest.mark.skipif(not has_libuv(), reason="libuv is not installed (Debian: libuv1-dev, pkg-config)")
def test_libuv(installed, field, total, http_url):
    folder = installed.copy("libuv")
    installed.run("make", "-s", f"PYTHON={installed.python}", cwd=folder)
    assert installed.run(folder / "read_uv", field.path).strip() == total
    assert installed.run(folder / "read_uv", http_url).strip() == total


@pytest.mark.parametrize("program", ["cffi/zarr_cffi.py", "selector/main.py"])
def test_cffi_without_a_compiler(program, installed, field, total, http_url, s3, tmp_path):
    folder = installed.copy(program.split("/")[0])
    run = lambda url, **more: installed.run(  # noqa: E731
        installed.python, "-X", "dev", "-W", "error", folder / Path(program).name, url, **more
    )
    assert run(field.path).strip() == total
    assert run(http_url).strip() == total
    assert run(s3[0], environment=s3[1]).strip() == total
    assert "RuntimeError" in run(tmp_path, fails=True)


EXTENSION_PROGRAM = """
import pickle, sys
import numpy as np
import zarr_sum, zarr_peak, zarrs_c

local, remote = sys.argv[1:]
for url in (local, remote):
    array = zarrs_c.sync.open_array(url)
    data = array[...]
    assert zarr_sum.total(array) == data.sum(dtype="float64"), url
    value, where = zarr_peak.peak(array)
    assert value == data.max() == data[where], url
    again = zarr_sum.opened(url)  # by C, and given to Python
    assert type(again) is zarrs_c.Array and (again[...] == data).all()
    assert again.store.url == array.store.url

def raised(call):
    try:
        call()
    except Exception as error:
        return error

assert isinstance(raised(lambda: zarr_sum.opened("/nonsense")), zarrs_c.NotFoundError)
assert "zarrs_c.Array is needed, not int" in str(raised(lambda: zarr_sum.total(3)))
assert "cannot be pickled" in str(raised(lambda: pickle.dumps(again)))
print("ok")
"""


@pytest.fixture(scope="session")
def extensions(installed):
    return [installed.extension(installed.copy(name)) for name in ("c_extension", "cython_extension")]


def test_extensions_take_arrays_and_give_them(installed, extensions, field, http_url):
    path = {"PYTHONPATH": ":".join(map(str, extensions))}
    command = ["-W", "error", "-c", EXTENSION_PROGRAM, field.path, http_url]
    assert installed.run(installed.python, *command, environment=path) == "ok\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="readelf is for ELF")
def test_extensions_are_linked_to_nothing_of_ours(installed, extensions):
    modules = [module for folder in extensions for module in folder.glob("*.so")]
    assert len(modules) == 2
    for module in modules:
        assert "zarrs" not in installed.run("readelf", "-d", module).lower()


def with_table(installed, folder: Path, change) -> Path:
    """The C extension, compiled against a header that `change` has changed."""
    source = installed.folder / folder
    shutil.copytree(EXAMPLES / "c_extension", source, ignore=shutil.ignore_patterns("build", "*.so"))
    for name in ("zarrs_c.h", "zarrs_c_import.h"):
        shutil.copy(ROOT / "include" / name, source)
        text = (source / name).read_text()
        (source / name).write_text(change(text))
    return installed.extension(source)


def old_table(text: str) -> str:
    struct = re.search(r"typedef struct zrc_api \{.*?\n\} zrc_api;\n", text, re.DOTALL)[0]
    kept = (
        struct[: struct.index("  int (*zrc_raise)")]
        + "  int (*zrc_raise)(zrc_status status, zrc_error *error);\n"
    )
    assert kept.count("(*zrc_") > 50
    return text.replace(struct, kept + "} zrc_api;\n")


def newer_minor(text: str) -> str:
    return re.sub(r"(#define ZRC_ABI_MINOR )(\d+)u", lambda m: f"{m[1]}{int(m[2]) + 1}u", text)


def longer(text: str) -> str:
    return text.replace("\n} zrc_api;\n", "\n  void (*zrc_of_tomorrow)(void);\n} zrc_api;\n")


def other_major(text: str) -> str:
    return re.sub(r"(#define ZRC_ABI_MAJOR )(\d+)u", lambda m: f"{m[1]}{int(m[2]) + 1}u", text)


def test_an_older_consumer_works_with_a_newer_library(installed, field):
    """A lower minor version, a table that ends before, and a struct without its last field."""

    def older(text):
        text = re.sub(r"(#define ZRC_ABI_MINOR )(\d+)u", lambda m: f"{m[1]}{int(m[2]) - 1}u", text)
        text, lost = re.subn(r"^  char name\[32\];.*\n", "", text, flags=re.MULTILINE)  # of zrc_dtype
        assert lost == ("typedef struct zrc_dtype {" in text)
        return old_table(text) if "typedef struct zrc_api {" in text else text

    folder = with_table(installed, Path("older"), older)
    program = "import sys, zarr_sum, zarrs_c; print(zarr_sum.total(zarrs_c.sync.open_array(sys.argv[1])))"
    path = {"PYTHONPATH": str(folder)}
    assert (
        float(installed.run(installed.python, "-c", program, field.path, environment=path))
        == field.data.sum()
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (newer_minor, r"this module was compiled for ABI \d+\.\d+ .* the installed zarrs_c [\d.]+ is older"),
        (longer, r"this module was compiled for ABI .* is older: .* upgrade zarrs_c"),
        (other_major, r"this module was compiled for ABI .* has ABI .*: upgrade zarrs_c"),
    ],
)
def test_a_newer_consumer_is_refused_clearly_by_an_older_library(change, says, installed):
    folder = with_table(installed, Path(f"refused_{change.__name__}"), change)
    error = installed.run(
        installed.python, "-c", "import zarr_sum", environment={"PYTHONPATH": str(folder)}, fails=True
    )
    assert re.search(f"ImportError: {says}", error), error


def test_a_package_without_a_table_is_refused_clearly(installed, extensions, tmp_path):
    (tmp_path / "zarrs_c.py").write_text("")
    path = {"PYTHONPATH": f"{tmp_path}:{extensions[0]}"}
    error = installed.run(installed.python, "-c", "import zarr_sum", environment=path, fails=True)
    assert "ImportError: the installed zarrs_c has no C API" in error


def test_the_command_answers(installed):
    def ask(*options):
        return installed.run(installed.python, "-m", "zarrs_c", *options).strip()

    assert ask("--version") == zarrs_c.__version__
    assert ask("--abi-version") == "{}.{}".format(*zarrs_c.abi_version())
    assert ask("--cflags", "--libs").startswith("-I")
    assert Path(ask("--include"), "zarrs_c_import.h").exists()
    assert Path(ask("--library")).exists()
    assert Path(ask("--pkgconfigdir"), "zarrs_c.pc").exists()
    assert Path(ask("--cmakedir"), "zarrs_c-config.cmake").exists()
    assert ask("--cdef").startswith("#define ZRC_ABI_MAJOR")
    assert "--cflags" in ask("--help")
    assert "usage" in installed.run(installed.python, "-m", "zarrs_c", fails=True)


@pytest.mark.skipif(not shutil.which("pkg-config"), reason="pkg-config is not installed")
def test_pkg_config_finds_the_installed_library(installed, field, total):
    folder = installed.run(installed.python, "-m", "zarrs_c", "--pkgconfigdir").strip()
    source = installed.copy("c")
    environment = {"PKG_CONFIG_PATH": folder}
    installed.run("make", "-s", "-B", "PYTHON=", "read", cwd=source, environment=environment)
    assert installed.run(source / "read", field.path).strip() == total
    version = installed.run("pkg-config", "--modversion", "zarrs_c", environment=environment)
    assert version.strip() == zarrs_c.__version__


def test_install_c_needs_no_python(field, total, tmp_path, installed):
    """`make install-c` is cargo and scripts/install-c.sh; the script alone is run here, on the built library."""
    prefix, library = tmp_path / "prefix", Path(zarrs_c.get_library_path()).parent
    installed.run("sh", ROOT / "scripts" / "install-c.sh", library, prefix)
    installed.run("sh", "-c", f"cp -r {EXAMPLES / 'c'} {tmp_path}")
    if shutil.which("pkg-config"):
        environment = {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
        installed.run("make", "-s", "PYTHON=", cwd=tmp_path / "c", environment=environment)
        assert installed.run(tmp_path / "c" / "read", field.path).strip() == total
        assert str(prefix) in installed.run("ldd", tmp_path / "c" / "read")
    cmake = installed.bin / "cmake"
    build = tmp_path / "build"
    installed.run(cmake, "-S", EXAMPLES / "cpp", "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
    installed.run(cmake, "--build", build)
    assert installed.run(build / "read_cpp", field.path).split() == [total, total]


BESIDE = """
import sys
import numpy as np, pyarrow, tensorstore as ts, obstore, zarrs_c
from obstore.store import LocalStore
data = zarrs_c.sync.open_array(sys.argv[1])[...]
spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": sys.argv[1] + "/"}}
assert (ts.open(spec).result().read().result() == data).all()
assert pyarrow.array(data[0]).to_pylist() == data[0].tolist()
assert bytes(obstore.get(LocalStore(sys.argv[1]), "zarr.json").bytes())
print("ok")
"""


def test_beside_other_libraries_in_one_process(field):
    """obstore is another Rust cdylib; pyarrow and tensorstore bring zstd, blosc and allocators of their own."""
    import itertools

    from helpers.running import python

    imports = ["pyarrow", "tensorstore as ts", "obstore", "zarrs_c"]
    for first in itertools.permutations(imports, 2):
        program = "".join(f"import {name}\n" for name in first) + BESIDE
        assert python(program, field.path).stdout == "ok\n"
