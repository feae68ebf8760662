"""One line of progress, redrawn in place on a terminal and left out of logs."""

import sys
import time


class Progress:
    """Counts steps of one piece of work: `with Progress("reading", 700) as progress: progress.step()`."""

    def __init__(self, what: str, total: int):
        self.what, self.total, self.done, self.drawn = what, total, 0, 0.0

    def __enter__(self):
        self.draw()
        return self

    def step(self, _=None):
        self.done += 1
        if time.monotonic() - self.drawn > 0.1:
            self.draw()

    def draw(self):
        self.drawn = time.monotonic()
        if sys.stderr.isatty():
            bar = "#" * (30 * self.done // self.total)
            print(
                f"\r  {self.what:<28} [{bar:<30}] {self.done}/{self.total}",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def __exit__(self, *_):
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr, flush=True)
