"""Reads over HTTP, zarrs_c beside tensorstore, zarr-python with obstore, and zarrista, interleaved in one run.

    python benchmarks/remote.py                    # everything; 1024³ takes some minutes
    python benchmarks/remote.py --side 512 --runs 3 --only cube

Caddy serves the large arrays on loopback; slow_server.c serves with a delay for each request and counts. Times are
medians; what they mean on this machine only their ratios tell.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import common  # noqa: E402
import data  # noqa: E402
import remote_peers  # noqa: E402
from servers.caddy import Caddy  # noqa: E402
from windows import Windows  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


class SlowServer:
    """slow_server.c as a process of its own, serving a folder with a delay before each answer."""

    def __init__(self, folder: Path):
        program, source = folder / "slow_server", ROOT / "benchmarks" / "slow_server.c"
        command = [os.environ.get("CC", "cc"), "-O2", str(source), "-o", str(program)]
        subprocess.run(command, check=True)
        self.popen = subprocess.Popen(
            [str(program), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.popen.pid
        self.endpoint = self.popen.stdout.readline().strip()

    def _ask(self, line: str) -> str:
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        return self.popen.stdout.readline().strip()

    def delay(self, seconds: float) -> None:
        self._ask(f"delay {seconds}")
        self._ask("report")

    def report(self) -> dict:
        """What it has seen since the last call; `served` is the mean time in seconds that it took to answer."""
        names = ["requests", "heads", "peak", "bytes", "served"]
        return dict(zip(names, (float(word) for word in self._ask("report").split()), strict=True))

    def stop(self) -> None:
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()


def cpu_of(pid: int) -> float:
    """CPU seconds that another process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_here() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@contextmanager
def measured(server_pid: int, into: dict):
    here, there, start = cpu_here(), cpu_of(server_pid), time.perf_counter()
    yield
    into["seconds"] = time.perf_counter() - start
    into["cpu"] = cpu_here() - here
    into["cpu_all"] = into["cpu"] + cpu_of(server_pid) - there


def interleaved(
    peers: list, runs: int, base: str, path: str, out, server_pid: int, check, between=None, warm: int = 1
) -> dict:
    """Read the array `runs` times with each peer in turn, after `warm` rounds that do not count.

    Returns {name: [figures of each run]}. `between` is called before and after each read; what it returns after
    is kept as "seen"."""
    figures = {peer.name: [] for peer in peers}
    for run in range(warm + runs):
        for peer in peers:
            if between is not None:
                between()
            out[...] = 0
            peer.open(base, path, out)
            one: dict = {}
            with measured(server_pid, one):
                got = peer.read()
            check(got)
            if between is not None:
                one["seen"] = between()
            if run >= warm:
                figures[peer.name].append(one)
            del got
    return figures


def median(figures: list, what: str = "seconds") -> float:
    return statistics.median(one[what] for one in figures)


def table(title: str, figures: dict, goal: str) -> None:
    """Medians beside each other, and how many times as long as zarrs_c each takes."""
    print(f"\n{title}\n  goal: {goal}")
    ours = median(figures[remote_peers.Zarrs_c.name])
    for name, runs in figures.items():
        times = sorted(one["seconds"] for one in runs)
        cpu = median(runs, "cpu") / median(runs)
        both = median(runs, "cpu_all") / median(runs)
        print(
            f"  {name:<28} {median(runs):8.3f} s  ({times[0]:.3f} to {times[-1]:.3f})  {median(runs) / ours:5.2f} x"
            f"   CPU {median(runs, 'cpu'):.2f} s, / wall {cpu:.2f}, with the server {both:.2f}"
        )


class Cubes:
    """The cube in its two layouts, memory to read it into, and a check of some of its planes."""

    def __init__(self, options, folder: Path):
        side = self.side = options.side
        self.paths = {
            "zstd": data.write_cube(folder, side, side // 4, None),
            "shards": data.write_cube(folder, side, side // 4, side // 16),
        }
        self.out = np.empty((side,) * 3, np.uint16)
        self.planes = {plane: data.cube(plane, plane + 1, side)[0] for plane in (0, 1, side // 3, side - 1)}

    def check(self, got) -> None:
        for plane, right in self.planes.items():
            np.testing.assert_array_equal(got[plane], right)


GOALS = {
    "zstd": "tensorstore >= 1.75 x, zarrista >= 5 x; CPU / wall >= 1.8",
    "shards": "tensorstore >= 1.15 x, zarrista >= 3.5 x",
}


def cube(options, folder: Path, results: dict) -> None:
    """The cube from Caddy."""
    cubes, peers = Cubes(options, folder), remote_peers.available(options.peers)
    with tempfile.TemporaryDirectory() as scratch:
        caddy = Caddy(Path(scratch), root=folder)
        try:
            for kind, path in cubes.paths.items():
                pid = caddy.process.popen.pid
                figures = interleaved(
                    peers, options.runs, caddy.endpoint, path.name, cubes.out, pid, cubes.check
                )
                table(f"{options.side}³ uint16, {kind}, Caddy on loopback", figures, GOALS[kind])
                results[f"cube {kind}"] = figures
        finally:
            caddy.stop()


def delay(options, folder: Path, results: dict) -> None:
    """The cube from the slow server with 20 ms for each request, beside the same without, interleaved."""
    cubes, peers = Cubes(options, folder), remote_peers.available(["zarrs_c", "tensorstore"])
    slow = SlowServer(folder)
    try:
        for kind, path in cubes.paths.items():
            runs: dict = {}
            for run in range(options.runs + 1):
                for seconds in (0.0, 0.02):
                    slow.delay(seconds)
                    found = interleaved(
                        peers, 1, slow.endpoint, path.name, cubes.out, slow.pid, cubes.check, warm=0
                    )
                    for name, figures in found.items():
                        runs.setdefault((name, seconds), []).extend(figures if run else [])
            print(
                f"\n{options.side}³ uint16, {kind}, 20 ms a request\n  goal: zarrs_c within 10 % of no delay"
            )
            for peer in peers:
                fast, late = (median(runs[peer.name, seconds]) for seconds in (0.0, 0.02))
                print(f"  {peer.name:<28} {fast:8.3f} s without, {late:.3f} s with: {late / fast - 1:+.1%}")
            results[f"delay {kind}"] = {
                f"{name}, {seconds} s": found for (name, seconds), found in runs.items()
            }
    finally:
        slow.stop()


def small(options, folder: Path, results: dict) -> None:
    """Many small objects behind a slow server: how much of the waiting overlaps."""
    few = data.write_rows(folder, 64, 4096)
    many = data.write_rows(folder, 10_000, 1024)
    works = [
        (few, 64, 0.05, "64 one-chunk objects, 50 ms each", "<= 1.5 round trips"),
        (many, 10_000, 0.01, "10,000 one-chunk objects, 10 ms each", "<= 1.15 x (10,000 / 64) round trips"),
    ]
    peers = remote_peers.available(options.peers)
    for path, rows, delay, title, goal in works:
        slow = SlowServer(path.parent)
        try:
            slow.delay(delay)
            out = np.empty((rows, 4096 if rows == 64 else 1024), np.uint8)
            right = expected_rows(path, out.shape)
            check = lambda got, right=right: np.testing.assert_array_equal(got, right)  # noqa: E731
            figures = interleaved(
                peers, options.runs, slow.endpoint, path.name, out, slow.pid, check, between=slow.report
            )
        finally:
            slow.stop()
        table(f"{title}", figures, goal)
        least = -(-rows // 64)  # round trips, were nothing but the delay to cost time
        for name, runs in figures.items():
            served = statistics.median(one["seen"]["served"] for one in runs)
            peak = max(one["seen"]["peak"] for one in runs)
            print(
                f"  {name:<28} {median(runs) / delay / least:6.2f} x the least at {delay * 1e3:.0f} ms; "
                f"the server took {served * 1e3:.1f} ms: {median(runs) / served / least:.2f} x; {peak:.0f} at once"
            )
        results[title] = figures


def expected_rows(path: Path, shape: tuple) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, shape, np.uint8)


def shards(options, folder: Path, results: dict) -> None:
    """8 inner chunks in 2 shards: how many requests."""
    path = data.write_rows(folder, 64, 4096, per_shard=16)
    import zarrs_c

    slow = SlowServer(folder)
    try:
        array = zarrs_c.sync.open_array(slow.endpoint, path.name)
        slow.report()
        print("\n8 inner chunks in 2 shards\n  goal: <= 4 requests, then <= 2, no HEAD")
        counts = []
        for which in ("first", "second"):
            array[12:20]
            seen = slow.report()
            counts.append(seen)
            print(f"  {which} read: {seen['requests']:.0f} requests, {seen['heads']:.0f} of them HEAD")
        results["shards"] = counts
    finally:
        slow.stop()


def windows(options, folder: Path, results: dict) -> None:
    """Random windows out of a sharded raster, all at once, with and without 10 ms for each request."""
    windows, out = Windows(folder, options.windows), np.empty(0)
    peers = {peer.name: peer for peer in remote_peers.available(options.peers)}
    slow = SlowServer(folder)
    try:
        for delay in (0.0, 0.01):
            readers = {}
            for name in {"zarrs_c", "tensorstore", "zarrista"} & peers.keys():
                peers[name].open(slow.endpoint, windows.path.name, out)
                readers |= getattr(windows, name)(peers[name].array)
            slow.delay(delay)
            seen: dict = {name: [] for name in readers}
            counted = {name: partial(counted_by, slow, read, seen[name]) for name, read in readers.items()}
            title = f"{windows.count:,} windows of 64² over HTTP, {delay * 1e3:.0f} ms a request"
            found = common.take_turns(dict(sorted(counted.items())), options.runs)
            common.table(title, found, "the best peer >= 1 x zarrs_c", "us a window", 1e6 / windows.count)
            for name, requests in seen.items():
                print(f"  {name:<28} {statistics.median(requests):.0f} requests")
            results[title] = {name: [{"seconds": one} for one in times] for name, times in found.items()}
    finally:
        slow.stop()


def counted_by(server: SlowServer, read, requests: list) -> float:
    server.report()
    seconds = read()
    requests.append(server.report()["requests"])
    return seconds


WORKS = {"cube": cube, "delay": delay, "small": small, "shards": shards, "windows": windows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=1024, help="of the cube, a multiple of 16")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--only", nargs="*", choices=list(WORKS), default=list(WORKS))
    parser.add_argument("--peers", nargs="*", help="the first words of their names; zarrs_c is needed")
    parser.add_argument("--data", type=Path, default=ROOT / ".cache" / "benchmarks")
    parser.add_argument("--json", type=Path, help="write every figure there")
    options = parser.parse_args()
    options.data.mkdir(parents=True, exist_ok=True)
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}, {options.runs} runs"
    )
    results: dict = {}
    for work in options.only:
        WORKS[work](options, options.data, results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
