"""Pack inputs of a fuzz target into its corpus, one file, which `make test` runs and libFuzzer starts from.

    python scripts/fuzz_corpus.py metadata .cache/fuzz/metadata/least     # make fuzz-corpus

Each input is preceded by its length, four bytes, little-endian. An input that failed is for good: it lies beside, as a
file of its own, in rust_ffi/tests/fuzz/corpus/TARGET/.
"""

from __future__ import annotations

import sys
from pathlib import Path

CORPUS = Path(__file__).resolve().parent.parent / "rust_ffi/tests/fuzz/corpus"


def main(target: str, folder: str) -> None:
    inputs = sorted({file.read_bytes() for file in Path(folder).iterdir()}, key=lambda one: (len(one), one))
    packed = b"".join(len(one).to_bytes(4, "little") + one for one in inputs)
    (CORPUS / f"{target}.inputs").write_bytes(packed)
    print(f"{target}: {len(inputs)} inputs, {len(packed)} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
