"""Exits with reads under way: the right status, no message, no hang. `exits.py` runs as many as one likes."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reliability import exits


@pytest.fixture(scope="module")
def arrays():
    with exits.arrays() as made:
        yield made


def test_the_docs_say_how_many_they_are(arrays):
    stores, _ = arrays
    docs = Path(__file__).resolve().parent.parent.parent / "docs/reliability.md"
    n = len(exits.KINDS) * len(stores) * 2  # bridges
    assert f"| {n}: {len(exits.KINDS)} kinds of exits" in docs.read_text()


@pytest.mark.parametrize("kind", exits.KINDS)
def test_an_exit_with_reads_under_way_is_quiet_and_has_the_right_status(kind, arrays):
    stores, field = arrays
    every = [
        exits.Exit(kind, store, bridge) for store, bridge in itertools.product(stores, ["fd", "dispatcher"])
    ]
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda exit: exits.run(exit, stores[exit.store], field), every))
    assert [str(outcome) for outcome in outcomes if not outcome.is_well] == []
