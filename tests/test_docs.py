"""The documents tell the truth: their programs run, their commands exist, their links lead somewhere."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorstore as ts
from helpers.running import SECONDS

import zarrs_c

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(*languages: str) -> list:
    return list(fenced(languages))


def fenced(languages):
    for document in DOCUMENTS:
        text = document.read_text()
        for fence in FENCE.finditer(text):
            if fence[1] in languages:
                line = text[: fence.start()].count("\n") + 1
                yield pytest.param(fence[2], id=f"{document.relative_to(ROOT)}:{line}")


@pytest.fixture(scope="session")
def folder_of_the_examples(tmp_path_factory):
    """The array that the documents' programs read: era5.zarr/t2m, 10 x 721 x 1440 of float32."""
    folder = tmp_path_factory.mktemp("documents")
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder / "era5.zarr" / "t2m")}}
    array = ts.open(spec, create=True, dtype=ts.float32, shape=[10, 721, 1440]).result()
    array[...] = np.arange(array.size, dtype="float32").reshape(array.shape) % 313
    return folder


@pytest.mark.parametrize("program", blocks("python"))
def test_python_programs_run_without_a_warning(program, folder_of_the_examples):
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    done = subprocess.run(
        command, cwd=folder_of_the_examples, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("program", blocks("c"))
def test_c_programs_compile_and_run(program, folder_of_the_examples, tmp_path):
    cc = shutil.which("cc")
    assert cc, "a C compiler is needed"
    (tmp_path / "program.c").write_text(program)
    library = zarrs_c.get_library_dirs()[0]
    subprocess.run(
        [
            cc,
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            f"-I{zarrs_c.get_include()}",
            "program.c",
        ]
        + ["-o", "program", f"-L{library}", f"-Wl,-rpath,{library}"]
        + [f"-l{name}" for name in zarrs_c.get_libraries()],
        cwd=tmp_path,
        check=True,
    )
    command = [tmp_path / "program"]
    done = subprocess.run(
        command, cwd=folder_of_the_examples, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ZRC_OK")


@pytest.mark.parametrize("commands", blocks("sh"))
def test_make_targets_exist(commands):
    for target in re.findall(r"^make (\w[\w-]*)", commands, re.MULTILINE):
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(document):
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text()):
        if not link.startswith(("http://", "https://")):
            assert (document.parent / link).exists(), f"{link} does not exist"


def test_paths_in_the_architecture_exist():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    for path in re.findall(r"`([\w./-]+/[\w.*-]*)`", text):
        places = [ROOT / path, ROOT / "rust_ffi" / "src" / path]
        found = [match for place in places for match in place.parent.glob(place.name or "*")]
        assert found, f"{path} does not exist"


def test_build_requirements_are_written_the_same_twice():
    text = (ROOT / "pyproject.toml").read_text()
    isolated = re.search(r"^requires = (\[.*\])$", text, re.MULTILINE)
    group = re.search(r"^build = (\[.*\])$", text, re.MULTILINE)
    assert isolated[1] == group[1]


def test_versions_agree():
    manifest = (ROOT / "rust_ffi" / "Cargo.toml").read_text()
    assert zarrs_c.__version__ == re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)[1]
