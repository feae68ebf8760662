"""A short soak: see `soak.py`, which runs for as long as one likes."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from reliability import soak
from servers.rules import Rule

# Of a rule, what is no fault of a server that is read.
NO_FAULTS = {"pattern", "method", "skip", "times", "gate", "headers", "hits", "cut_body", "lose_answer"}


def test_a_soak_has_every_fault_of_a_server_that_is_read():
    faults = {field.name for field in dataclasses.fields(Rule)} - NO_FAULTS
    assert {fault for kind in soak.KINDS for fault in kind} == faults


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux's")
def test_everything_at_once_is_right_and_leaves_nothing():
    program = Path(__file__).with_name("soak.py")
    command = [sys.executable, program, "--minutes", "0.4", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
