"""`python -m zarrs_c`: what a compiler or a build system needs to know about the installed package."""

import argparse
import os
import shlex

import zarrs_c


def main(arguments=None):
    folder = zarrs_c.get_library_dirs()[0]
    answers = {
        "version": ("the package's version", zarrs_c.__version__),
        "abi-version": ("the version of the C ABI, major.minor", "{}.{}".format(*zarrs_c.abi_version())),
        "cflags": ("flags for the compiler", f"-I{shlex.quote(zarrs_c.get_include())}"),
        "libs": (
            "flags for the linker; the program then finds the library where it lies now",
            f"-L{shlex.quote(folder)} -Wl,-rpath,{shlex.quote(folder)} "
            + " ".join(f"-l{name}" for name in zarrs_c.get_libraries()),
        ),
        "include": ("the folder of zarrs_c.h", zarrs_c.get_include()),
        "library": ("the shared library", zarrs_c.get_library_path()),
        "pkgconfigdir": ("the folder of zarrs_c.pc, for PKG_CONFIG_PATH", os.path.join(folder, "pkgconfig")),
        "cmakedir": (
            "the folder of zarrs_c-config.cmake, for zarrs_c_DIR",
            os.path.join(folder, "cmake", "zarrs_c"),
        ),
        "cdef": ("the header as cffi's cdef() takes it", None),
    }
    parser = argparse.ArgumentParser(prog="python -m zarrs_c", description=__doc__)
    for name, (help, _) in answers.items():
        parser.add_argument(f"--{name}", dest="wanted", action="append_const", const=name, help=help)
    wanted = parser.parse_args(arguments).wanted
    if not wanted:
        parser.error("say what to print, or --help")
    answers["cdef"] = ("", zarrs_c.get_cdef() if "cdef" in wanted else "")
    # Flags go on one line, for $(...) in a shell; everything else has a line of its own.
    flags = [name for name in wanted if name in ("cflags", "libs")]
    if flags:
        print(" ".join(answers[name][1] for name in flags))
    for name in wanted:
        if name not in flags:
            print(answers[name][1])


if __name__ == "__main__":
    main()
