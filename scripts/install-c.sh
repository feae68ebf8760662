#!/bin/sh
# Puts a built library, its header and what finds them under a prefix:  scripts/install-c.sh FOLDER PREFIX
# Honours DESTDIR. Needs no Python.
set -eu
prefix=${2%/}
for library in "$1"/libzarrs_c.so "$1"/libzarrs_c.dylib; do [ -e "$library" ] && break; done
root=$(cd "$(dirname "$0")/.." && pwd)
name=$(basename "$library")
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/rust_ffi/Cargo.toml" | head -n 1)
to=${DESTDIR:-}$prefix

mkdir -p "$to/include" "$to/lib/pkgconfig" "$to/lib/cmake/zarrs_c"
install -m 644 "$root/include/zarrs_c.h" "$to/include/"
install -m 755 "$library" "$to/lib/"
strip -S "$to/lib/$name"
fill() { sed -e "s/@VERSION@/$version/g" -e "s/@LIBRARY@/$name/g" "$root/packaging/$1.in" > "$2/$1"; }
fill zarrs_c.pc "$to/lib/pkgconfig"
fill zarrs_c-config.cmake "$to/lib/cmake/zarrs_c"
fill zarrs_c-config-version.cmake "$to/lib/cmake/zarrs_c"
echo "zarrs_c $version is in $to"
