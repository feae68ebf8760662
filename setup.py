"""Builds libzarrs_c with cargo, then the Cython modules linked to it. The rest is in pyproject.toml."""

import os
import re
import shutil
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools_rust import Binding, RustExtension, Strip

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "scripts"))
import rust_env  # noqa: E402

LIBRARY = "libzarrs_c"
LIBRARY_MODULE = f"zarrs_c.lib.{LIBRARY}"
LIBRARY_SUFFIX = {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so")
OWN_FOLDER = "@loader_path" if sys.platform == "darwin" else "$ORIGIN"


def version() -> str:
    """The crate's version: rust_ffi/Cargo.toml is the only place that has it."""
    manifest = (ROOT / "rust_ffi" / "Cargo.toml").read_text()
    return re.search(r'^version = "(.+)"$', manifest, re.MULTILINE)[1]


class RustFirst(build_ext):
    """Builds the Rust library first, as the C extensions are linked to it; setuptools-rust builds it last."""

    def get_ext_filename(self, fullname):
        # Without this the library would get Python's extension suffix, and nobody could link to it.
        if fullname.rpartition(".")[2] == LIBRARY:
            return os.path.join(*fullname.split(".")[:-1], LIBRARY + LIBRARY_SUFFIX)
        return super().get_ext_filename(fullname)

    def run(self):
        rust = self.get_finalized_command("build_rust")
        rust.inplace, rust.plat_name = self.inplace, self.plat_name
        rust_env.set_tools(os.environ)
        rust.run()
        library_dir = Path(self.get_ext_fullpath(LIBRARY_MODULE)).parent
        for extension in self.extensions:
            extension.library_dirs.insert(0, str(library_dir))
        self.copy_headers(library_dir.parent / "include")
        self.write_package_files(library_dir)
        # setuptools-rust's own build_ext, which wraps this one, would build Rust a second time.
        self.distribution.rust_extensions = []
        # All at once before the C compiler runs, which can then run in parallel.
        translated = cythonize(self.extensions, compiler_directives={"language_level": "3"})
        for extension, c_extension in zip(self.extensions, translated, strict=True):
            extension.sources = c_extension.sources
        self.parallel = self.parallel or os.cpu_count()
        super().run()

    def copy_headers(self, destination):
        destination.mkdir(parents=True, exist_ok=True)
        for header in (ROOT / "include").glob("*.h"):
            shutil.copy2(header, destination)

    def write_package_files(self, library_dir):
        """What pkg-config and CMake read, with paths relative to themselves."""
        values = {"VERSION": version(), "LIBRARY": LIBRARY + LIBRARY_SUFFIX}
        for template in (ROOT / "packaging").glob("*.in"):
            folder = library_dir / ("pkgconfig" if ".pc" in template.name else "cmake/zarrs_c")
            folder.mkdir(parents=True, exist_ok=True)
            text = re.sub("@([A-Z]+)@", lambda match: values[match[1]], template.read_text())
            (folder / template.stem).write_text(text)

    def build_extensions(self):
        # An interpreter built as a shared library leaves its own folder in the RUNPATH of extensions.
        if linker := getattr(self.compiler, "linker_so", None):
            self.compiler.linker_so = [word for word in linker if not word.startswith(("-Wl,-rpath", "-R"))]
        super().build_extensions()


def cython_modules() -> list[Extension]:
    shared = [
        *map(str, Path("include").glob("*.h")),
        "zarrs_c/_table.h",
        *map(str, Path("zarrs_c").glob("*.pxd")),
    ]
    return [
        Extension(
            f"zarrs_c.{source.stem}",
            [str(source)],
            depends=shared,
            include_dirs=["include"],
            libraries=["zarrs_c"],
            extra_compile_args=[] if sys.platform == "win32" else ["-O2", "-g0"],
            runtime_library_dirs=[] if sys.platform == "win32" else [f"{OWN_FOLDER}/lib"],
        )
        for source in sorted(Path("zarrs_c").glob("*.pyx"))
    ]


os.chdir(ROOT)
setup(
    version=version(),
    cmdclass={"build_ext": RustFirst},
    ext_modules=cython_modules(),
    rust_extensions=[
        RustExtension(
            LIBRARY_MODULE,
            path="rust_ffi/Cargo.toml",
            binding=Binding.NoBinding,
            debug=False,  # in-place builds would be unoptimised otherwise
            strip=Strip.Debug,
            # The crate's own types, not cdylib alone: else `cargo test` and this would rebuild it in turns.
            args=["--crate-type", "cdylib,rlib"],
            cargo_manifest_args=["--locked"],
        )
    ],
)
