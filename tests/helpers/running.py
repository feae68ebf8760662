"""Running coroutines and Python programs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap

SECONDS = 120.0  # no single thing that the tests wait for takes that long, on a slow and busy machine either


def run(main, *, debug=None, factory=None):
    """Run a coroutine on a new event loop (of `factory`, such as uvloop.new_event_loop), and close the loop."""
    loop = (factory or asyncio.new_event_loop)()
    if debug is not None:
        loop.set_debug(debug)
    try:
        return loop.run_until_complete(asyncio.wait_for(main, SECONDS))
    finally:
        try:
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            loop.close()


def python(code: str, *arguments, flags=(), environment=None, timeout=SECONDS, check=True):
    """Run a program in a fresh interpreter. With `check`, it must end well and say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(environment or {})},
    )
    if check:
        assert (done.returncode, done.stderr) == (0, ""), (
            f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
        )
    return done
