"""The progress of a read, told to a function on the loop's thread. A timer of the loop asks: no thread."""

PERIOD = 0.1  # seconds between two calls, at least


class _Watch:
    def __init__(self, future, progress):
        self.future, self.progress = future, progress
        self.loop = future.get_loop()
        self.timer = self.loop.call_later(PERIOD, self.tick)
        # The first of the future's callbacks: whoever awaits it goes on after the last call.
        future.add_done_callback(self.end)

    # What `progress` raises goes to the loop's exception handler, as from every callback of a loop.

    def tick(self):
        try:
            self.tell()
        finally:
            self.timer = self.loop.call_later(PERIOD, self.tick)

    def end(self, _):
        self.timer.cancel()
        self.tell()

    def tell(self):
        self.progress(self.future._progress())


def watch(future, progress):
    """Call `progress` while the read of `future` runs, and once at its end."""
    _Watch(future, progress)
