"""All benchmarks, one after another: what `make bench` runs.

    python benchmarks/run.py                                # everything, some ten minutes
    python benchmarks/run.py --programs large small --side 512 --runs 3

Figures go to .cache/benchmarks/results: one JSON a program, and a plot of all of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import common

PROGRAMS = ["large", "small", "remote", "writes"]
PARTS = ["bridge", "pieces"]  # of zarrs_c alone


def seconds(found) -> float | None:
    """The median of the times of one reader, in whichever form its program notes them."""
    times = [one["seconds"] if isinstance(one, dict) else one for one in found if one]
    return statistics.median(times) if times else None


def comparisons(path: Path) -> dict[str, dict[str, float]]:
    """The medians of a program's comparisons: {title: {reader: seconds}}."""
    results = json.loads(path.read_text())
    results = results.get("seconds", results)
    tables = {title: found for title, found in results.items() if isinstance(found, dict)}
    medians = {
        title: {name: seconds(times) for name, times in found.items()} for title, found in tables.items()
    }
    return {title: found for title, found in medians.items() if found.get(common.OURS)}


def plot(results: dict[str, dict[str, float]], path: Path) -> None:
    """How many times as long as zarrs_c each takes, a row of points a comparison."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(name for found in results.values() for name in found if name != common.OURS))
    figure, axes = plt.subplots(figsize=(10, 1.5 + 0.32 * len(results)), layout="constrained")
    colours, markers = plt.get_cmap("tab20").colors, "osD^v<>PX*h8p"
    for i, name in enumerate(names):
        points = [
            (found[name] / found[common.OURS], row)
            for row, found in enumerate(results.values())
            if found.get(name)
        ]
        x, y = zip(*points, strict=True)
        axes.scatter(x, y, s=30, label=name, color=colours[i % 20], marker=markers[i % len(markers)])
    axes.axvline(1, color="black", linewidth=1, label=common.OURS)
    axes.set_xscale("log")
    axes.set_yticks(range(len(results)), list(results))
    axes.invert_yaxis()
    axes.grid(axis="x", which="both", alpha=0.3)
    axes.set_xlabel("time as a multiple of that of zarrs_c (more is slower)")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    programs = [*PROGRAMS, *PARTS]
    parser.add_argument("--programs", nargs="*", choices=programs, default=programs)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--side", type=int, default=1024, help="of the cubes, a multiple of 16")
    parser.add_argument("--data", type=Path, default=common.DATA)
    options = parser.parse_args()
    folder, results = options.data / "results", {}
    folder.mkdir(parents=True, exist_ok=True)
    print(common.machine())
    for program in options.programs:
        path, script = folder / f"{program}.json", str(Path(__file__).with_name(f"{program}.py"))
        if program == "pieces":
            command = ["-m", "pytest", "-q", script, f"--benchmark-json={path}"]
        else:
            names = ("runs", "data") if program in PARTS else ("runs", "side", "data")
            command = [script, *[f"--{name}={getattr(options, name)}" for name in names], f"--json={path}"]
        subprocess.run([sys.executable, *command], check=True)
        results |= comparisons(path) if program in PROGRAMS else {}
    if results:
        plot(results, folder / "ratios.png")
    print(f"\n{folder}: the figures as JSON, and ratios.png")


if __name__ == "__main__":
    main()
