#!/bin/sh
# Looks for what the build needs before it starts, and says what is missing and how to get it.
# Prints the Python interpreter to use. PYTHON=... chooses one.
problems=0

missing() { # what, how to get it
  printf 'zarrs_c: %s\n    %s\n' "$1" "$2" >&2
  problems=1
}

at_least() { # version found, version needed (major.minor)
  [ "${1%%.*}" -gt "${2%%.*}" ] && return 0
  rest=${1#*.}
  [ "${1%%.*}" -eq "${2%%.*}" ] && [ "${rest%%[!0-9]*}" -ge "${2#*.}" ]
}

command -v git >/dev/null 2>&1 || missing "git is missing" "Debian: apt install git    macOS: xcode-select --install"
command -v make >/dev/null 2>&1 || missing "make is missing" "Debian: apt install make    macOS: xcode-select --install"

if ! command -v "${CC:-cc}" >/dev/null 2>&1; then
  missing "no C compiler (${CC:-cc})" "Debian: apt install build-essential    macOS: xcode-select --install"
fi

if command -v rustc >/dev/null 2>&1 && command -v cargo >/dev/null 2>&1; then
  rust=$(rustc --version 2>/dev/null | awk '{print $2}')
  if [ -z "$rust" ]; then
    missing "rustc is there but does not run" "try: rustup default stable"
  elif ! at_least "$rust" 1.91; then
    missing "Rust $rust is too old: 1.91 or newer is needed" "rustup update stable"
  fi
else
  missing "Rust is missing: rustc and cargo, 1.91 or newer, are needed" "get it from https://rustup.rs"
fi

# A name can be there and not run (pyenv's shims), so each candidate is tried.
python=
found=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
  version=$("$candidate" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
  found="$found $candidate is $version;"
  if at_least "$version" 3.10; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  missing "no Python 3.10 or newer (looked at ${PYTHON:-python3, python3.13 ... python3.10}:${found:- none runs})" \
    "Debian: apt install python3 python3-venv python3-dev    or choose one: make PYTHON=/path/to/python3.11"
else
  "$python" -c 'import venv, ensurepip' 2>/dev/null ||
    missing "$python cannot make virtual environments" "Debian: apt install python3-venv"
  "$python" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
    missing "the C headers of $python are missing (Python.h)" "Debian: apt install python3-dev"
fi

[ "$problems" = 0 ] || exit 1
printf '%s\n' "$python"
