"""A short soak: see `soak.py`, which runs for as long as one likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_everything_at_once_is_right_and_leaves_nothing():
    program = Path(__file__).with_name("soak.py")
    command = [sys.executable, program, "--minutes", "0.4", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
