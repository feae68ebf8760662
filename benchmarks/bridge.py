"""The two ways from the library's threads to an event loop, beside each other: the queue's descriptor that the loop
watches (fd), and a thread that calls the loop (dispatcher). Reads of cached chunks of 1 KB, microseconds each.

    python benchmarks/bridge.py [--runs 5] [--pythons .venv-3.12/bin/python .venv-3.13/bin/python]

A round of one Python measures asyncio and uvloop (where it is), idle and busy: a task that computes for a tenth of a
millisecond whenever it may. Pythons and bridges take turns; the figures are medians of the runs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import zarrs_c

ROWS = 1000
BRIDGES = ["fd", "dispatcher"]
STATES = ["idle", "busy"]


def loops() -> dict:
    found = {"asyncio": asyncio.new_event_loop}
    try:
        import uvloop
    except ImportError:
        return found
    return found | {"uvloop": uvloop.new_event_loop}


async def compute() -> None:
    while True:
        end = time.perf_counter() + 1e-4
        while time.perf_counter() < end:
            pass
        await asyncio.sleep(0)


async def burst(array, parts) -> int:
    await asyncio.gather(*[zarrs_c.read_into(part, array, row) for row, part in enumerate(parts)])
    return len(parts)


async def in_turn(array, parts) -> int:
    """As many as there are, or as come within a second: a loop that computes may starve the dispatcher."""
    end = time.perf_counter() + 1
    for row, part in enumerate(parts):
        await zarrs_c.read_into(part, array, row)
        if time.perf_counter() > end:
            break
    return row + 1


WORKS = {"a thousand at once": burst, "one after another": in_turn}


async def measured(work, state, array, parts) -> float:
    """Microseconds a read. The first few start what has to run."""
    await work(array, parts[:10])
    other = asyncio.ensure_future(compute()) if state == "busy" else None
    await asyncio.sleep(0)
    gc.collect()
    start = time.perf_counter()
    count = await work(array, parts)
    seconds = time.perf_counter() - start
    if other is not None:
        other.cancel()
    return seconds / count * 1e6


def one_round(path: str) -> dict:
    """Every case of this Python, once: {"loop, state, work": {bridge: microseconds}}."""
    array = zarrs_c.sync.open_array(path)
    parts = list(np.empty((ROWS, 1024), np.uint8))
    results: dict = {}
    for loop_name, new_loop in loops().items():
        for state in STATES:
            for name, work in WORKS.items():
                for bridge in BRIDGES:
                    os.environ["ZARRS_C_BRIDGE"] = bridge
                    loop = new_loop()
                    found = loop.run_until_complete(measured(work, state, array, parts))
                    loop.close()
                    results.setdefault(f"{loop_name}, {state}, {name}", {})[bridge] = found
    return results


def main() -> None:
    import common
    import data

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--pythons", nargs="*", default=[], help="of other environments that zarrs_c is built for"
    )
    parser.add_argument("--data", type=Path, default=common.DATA)
    parser.add_argument("--json", type=Path, help="write every figure there")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    path = str(data.write_rows(options.data, ROWS, 1024))
    print(f"bridge.py: {common.machine()}, {options.runs} runs")
    rounds: dict[str, list[dict]] = {}
    for _ in range(options.runs):
        for python in [sys.executable, *options.pythons]:
            command = [python, __file__, "--round", path]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            version, results = json.loads(done.stdout)
            rounds.setdefault(version, []).append(results)
    for version, all_results in rounds.items():
        print(f"\nPython {version}{'':35}           fd     dispatcher")
        for case in all_results[0]:
            figures = []
            for bridge in BRIDGES:
                times = [results[case][bridge] for results in all_results]
                figures.append(f"{statistics.median(times):10.1f} µs")
            print(f"  {case:<42} {'  '.join(figures)}")
    print(f"bridge.py: load {os.getloadavg()[0]:.1f} at the end")
    if options.json:
        options.json.write_text(json.dumps({"machine": common.machine(), "rounds": rounds}, indent=1))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--round"]:
        print(json.dumps([".".join(map(str, sys.version_info[:2])), one_round(sys.argv[2])]))
    else:
        main()
