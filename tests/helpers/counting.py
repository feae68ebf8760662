"""What calls cost, in counts."""

from __future__ import annotations

import gc

import zarrs_c


class Counted:
    """What `stats()` counts within a `with` block: the difference."""

    def __enter__(self):
        # What earlier tests have left to be collected would be counted when it is.
        gc.collect()
        self.before = zarrs_c.stats()
        return self

    def __exit__(self, *exception):
        after = zarrs_c.stats()
        for name in after._fields:
            setattr(self, name, getattr(after, name) - getattr(self.before, name))
