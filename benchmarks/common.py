"""What the benchmarks share: readers take turns in one run, and medians stand beside each other."""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".cache" / "benchmarks"
OURS = "zarrs_c"


def options(description: str, works: dict, **defaults) -> argparse.Namespace:
    """The command line of a benchmark: `defaults` are further numbers that can be set."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=list(works), default=list(works))
    parser.add_argument("--peers", nargs="*", help="the beginnings of their names; all that are installed")
    parser.add_argument("--data", type=Path, default=DATA, help="a folder for the arrays, some gigabytes")
    parser.add_argument("--json", type=Path, help="write every figure there")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    chosen = parser.parse_args()
    chosen.data.mkdir(parents=True, exist_ok=True)
    return chosen


def machine() -> str:
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, load {load:.1f}, Python {sys.version.split()[0]}"


def take_turns(readers: dict[str, Callable[[], None]], runs: int, warm: int = 1) -> dict[str, list[float]]:
    """Time each of `readers`, by name, in turn, `runs` times after `warm` rounds that do not count. What one
    returns, if anything, is its time as it measured it itself."""
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for run in range(warm + runs):
        for name, read in readers.items():
            gc.collect()
            start = time.perf_counter()
            own = read()
            one = time.perf_counter() - start if own is None else own
            if run >= warm:
                seconds[name].append(one)
    return seconds


def table(title: str, seconds: dict[str, list[float]], goal: str, unit: str = "s", scale: float = 1) -> None:
    """Medians beside each other, and how many times as long as zarrs_c each takes."""
    print(f"\n{title}\n  goal: {goal}")
    ours = statistics.median(seconds[OURS])
    for name, all_of_them in seconds.items():
        times = sorted(all_of_them)
        median = statistics.median(times)
        print(
            f"  {name:<34} {median * scale:9.3f} {unit}  ({times[0] * scale:.3f} to {times[-1] * scale:.3f})"
            f"  {median / ours:6.2f} x"
        )
    sys.stdout.flush()


def run_works(description: str, works: dict, **defaults) -> None:
    """A benchmark's main function: its works, one after another, each `work(options) -> {title: seconds}`."""
    chosen = options(description, works, **defaults)
    print(f"{Path(sys.argv[0]).name}: {machine()}, {chosen.runs} runs")
    results: dict = {}
    for name in chosen.only:
        results |= works[name](chosen)
    print(f"{Path(sys.argv[0]).name}: load {os.getloadavg()[0]:.1f} at the end")
    if chosen.json:
        chosen.json.write_text(json.dumps({"machine": machine(), "seconds": results}, indent=1))
