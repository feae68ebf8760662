"""The environment that cargo needs here, in one place: for setup.py, the Makefile and CI.

zarrs' C dependencies are built with cmake and bound with libclang. Both come from PyPI (packages `cmake` and
`libclang`), so nothing has to be installed on the system. Run as a program it sets the environment and runs a
command in it:

    python scripts/rust_env.py cargo test --release

A variable that is already set is left as it is: a CARGO_TARGET_DIR of your own is yours alone to share.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def shared_target_dir() -> Path:
    """A cargo target folder outside the clone, for this Cargo.lock and this compiler.

    It survives `git clean` and serves every clone, and a changed lock file or compiler starts a fresh one.
    Whoever builds in it takes it over first (`take_over`).
    """
    key = hashlib.sha256((ROOT / "Cargo.lock").read_bytes() + output_of("rustc", "-vV").encode())
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    cache = os.environ.get("ZARRS_C_CACHE") or Path(cache) / "zarrs_c"
    return Path(cache).absolute() / f"target-{key.hexdigest()[:12]}"


def take_over(target: Path) -> None:
    """Make the shared folder this clone's until the process that we become has ended.

    cargo keeps the crates of different clones apart, except for the name of the cdylib: after a build in
    clone B, cargo in clone A finds its own fingerprint fresh and hands out B's library. So one clone builds
    at a time, and a change of clone forgets the fingerprints of our own crate (not of its dependencies).
    """
    import fcntl  # not on Windows, where setup.py needs the rest of this file

    target.mkdir(parents=True, exist_ok=True)
    lock = os.open(target / "clone.lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"zarrs_c: waiting for another build in {target}", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.set_inheritable(lock, True)
    owner = target / "clone.path"
    if not owner.exists() or owner.read_text() != str(ROOT):
        for fingerprint in target.glob("*/.fingerprint/zarrs_c-*"):
            shutil.rmtree(fingerprint)
        owner.write_text(str(ROOT))


def compiler_include_dir() -> str | None:
    """Where the C compiler keeps stddef.h and the like, which the libclang package does not bring."""
    cc = os.environ.get("CC", "cc").split()
    for question in ("-print-file-name=include", "-print-resource-dir"):
        try:
            answer = Path(output_of(*cc, question))
        except (OSError, subprocess.CalledProcessError):
            continue
        for include in (answer, answer / "include"):
            if include.is_absolute() and (include / "stddef.h").is_file():
                return str(include)
    return None


def stable_libclang(target: Path) -> str | None:
    """A copy of the package's libclang beside the artefacts; None when the package is not there.

    cargo rebuilds the bindings when LIBCLANG_PATH changes, and with it all of zarrs. The package itself lies
    at another path in each virtual environment and in each isolated build.
    """
    try:
        import clang
    except ImportError:
        return None
    native = Path(clang.__file__).parent / "native"
    for library in native.glob("*libclang.*"):
        copy = target / "tools" / library.name
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            scratch = copy.with_name(f"{copy.name}.{os.getpid()}")
            shutil.copy2(library, scratch)
            scratch.replace(copy)
        return str(copy.parent)
    return None


def set_tools(env: dict[str, str] | os._Environ[str]) -> None:
    """Point `env` at cmake and libclang from PyPI where they are installed."""
    target = Path(env.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
    if "LIBCLANG_PATH" not in env and (libclang := stable_libclang(target)):
        env["LIBCLANG_PATH"] = libclang
    if "BINDGEN_EXTRA_CLANG_ARGS" not in env and (include := compiler_include_dir()):
        env["BINDGEN_EXTRA_CLANG_ARGS"] = f"-I{include}"
    try:
        import cmake
    except ImportError:
        return
    env["PATH"] = os.pathsep.join([cmake.CMAKE_BIN_DIR, env.get("PATH", "")])


def main() -> None:
    if len(sys.argv) == 1:
        sys.exit(__doc__)
    env = os.environ
    if not env.get("CARGO_TARGET_DIR"):
        target = shared_target_dir()
        take_over(target)
        env["CARGO_TARGET_DIR"] = str(target)
    set_tools(env)
    os.chdir(ROOT)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
