"""Calls that fail."""

from __future__ import annotations

import numpy as np
import pytest

import zarrs_c
from zarrs_c import sync

from .buffers import CANARY
from .running import run


def is_canary(array: np.ndarray) -> bool:
    """Whether nothing was written to an array that `canary` made."""
    return bool((np.ascontiguousarray(array).view(np.uint8) == CANARY).all())


def raised_by_the_call(kind, call, *arguments, **options):
    """The error of an asynchronous call, raised before there is anything to await."""

    async def main():
        with pytest.raises(kind) as caught:
            call(*arguments, **options)
        return caught.value

    return run(main())


def failure_to_open(path, *arguments, **options):
    """The error of opening, which is the same from both APIs."""

    async def main():
        await zarrs_c.open_array(path, *arguments, **options)

    with pytest.raises(zarrs_c.Error) as caught:
        run(main())
    with pytest.raises(type(caught.value)):
        sync.open_array(path, *arguments, **options)
    return caught.value
