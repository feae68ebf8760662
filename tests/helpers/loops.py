"""The event loops and bridges that the asynchronous tests run on, and what they watch."""

from __future__ import annotations

import asyncio
import sys
import time

import numpy as np

import zarrs_c

from . import simple
from .buffers import canary
from .running import SECONDS

LOOPS = {"asyncio": asyncio.new_event_loop}
try:
    import uvloop

    LOOPS["uvloop"] = uvloop.new_event_loop
except ImportError:
    assert sys.platform == "win32", "uvloop belongs to the test dependencies"

BRIDGES = ["fd", "dispatcher"]


def small(slow_array):
    """A small buffer for all of the slow array, and the selection that fills it."""
    rows, columns = slow_array.shape
    return canary((rows, columns // simple.STRIDE), np.uint8), np.s_[:, :: simple.STRIDE]


def idle() -> bool:
    """Nothing under way: no operation, no bytes, no requests."""
    now = zarrs_c.stats()
    return (now.operations_in_flight, now.bytes_in_flight, now.requests_in_flight) == (0, 0, 0)


def wait_until(condition, what: str):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)
