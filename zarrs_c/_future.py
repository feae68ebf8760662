"""The future of a read. Imported with the first asynchronous call, since asyncio takes long to import."""

import asyncio

from zarrs_c._bridge import figures_of

_cancel = asyncio.Future.cancel


class ReadFuture(asyncio.Future):
    """A future that is cancelled only when the memory it reads into is safe to reuse.

    `cancel()` asks the operation to stop and answers True; the future becomes cancelled at the operation's
    final completion, also if that came out well.
    """

    # Set by who makes the future: the operation under way; what those that have ended did.
    __slots__ = ("_figures", "_pending")

    def cancel(self, msg=None):
        """Ask the read to stop. Returns False when it has ended already."""
        if self.done():
            return False
        if self._pending is None:
            return cancel_now(self, msg)
        self._pending.request_cancel(msg)
        return True

    def stats(self):
        """What the read has done, so far or in all: an `OpStats`. What it shared with other small reads that waited at
        the same time is counted for one of them."""
        return figures_of(self._pending, self._figures).stats()

    def _progress(self):
        return figures_of(self._pending, self._figures).progress()


def cancel_now(future, msg=None):
    """Really cancel a future: its operation has ended."""
    # Without a message where there is none: some Python versions frown on it.
    return _cancel(future) if msg is None else _cancel(future, msg)
