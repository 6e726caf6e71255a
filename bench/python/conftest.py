"""Pools and helpers of the benchmarks."""

import os
from collections.abc import Iterator

import pytest

import ndpool


@pytest.fixture(scope="session")
def pool() -> Iterator[ndpool.Pool]:
    """A pool of 1 GiB that all benchmarks share."""
    name = f"bench-{os.getpid()}"
    with ndpool.Pool.create(name, capacity="2G") as p:
        yield p
