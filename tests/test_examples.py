"""The examples run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from helpers.running import SECONDS

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def example(name, *arguments):
    """Run an example, with warnings as errors."""
    command = [sys.executable, "-X", "dev", "-W", "error", EXAMPLES / name, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return done


def test_the_progress_bar_ends_at_all_chunks(field):
    done = example("progress/main.py", field.path, "--rows", "5:25")
    assert "27/27" in done.stderr
    assert "0.0 MB" in done.stderr
    rows = field.data[5:25]
    fetched = sum(field.chunk_path(row, column).stat().st_size for row in range(3) for column in range(9))
    assert done.stdout.splitlines() == [
        f"(20, 63) of float32, from {rows.min()} to {rows.max()}",
        f"27 requests, {fetched:,} bytes fetched, 27 chunks decoded, 0 missing",
    ]
    assert "90/90" in example("progress/main.py", field.path).stderr
