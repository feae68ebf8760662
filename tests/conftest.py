"""Fixtures of all tests."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from helpers import simple
from helpers.running import run
from helpers.scale import SCALE
from servers.fixtures import *  # noqa: F403


@pytest.fixture(scope="session")
def scale():
    return SCALE


@pytest.fixture(scope="session")
def field(tmp_path_factory):
    """A 2-d float32 array of 10 x 10 zstd chunks."""
    data = simple.random_array((95, 63))
    return simple.store(tmp_path_factory.mktemp("field") / "a", data, (10, 7))


@pytest.fixture(scope="session")
def sharded(tmp_path_factory):
    """A 2-d int32 array of 3 x 2 shards of 4 x 4 inner chunks each."""
    data = simple.random_array((48, 40), "int32", seed=1)
    return simple.store(tmp_path_factory.mktemp("sharded") / "a", data, (4, 5), shards=(16, 20))


@pytest.fixture(scope="session")
def slow(tmp_path_factory):
    """An array whose whole read takes seconds into a small buffer: see `simple.store_slow`."""
    return simple.store_slow(tmp_path_factory.mktemp("slow"))


@pytest.fixture
def array(field):
    from zarrs_c import sync

    return sync.open_array(field.path)


@pytest.fixture
def slow_array(slow):
    from zarrs_c import sync

    return sync.open_array(slow.path)


@pytest.fixture(params=list(itertools.product(("asyncio", "uvloop"), ("fd", "dispatcher"))), ids="-".join)
def running(request, monkeypatch):
    """`run` on each kind of event loop, over each kind of bridge."""
    from helpers.loops import LOOPS

    loop, bridge = request.param
    monkeypatch.setenv("ZARRS_C_BRIDGE", bridge)
    return lambda main, **options: run(main, factory=LOOPS[loop], **options)
