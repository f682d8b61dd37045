"""A fresh part of the cluster for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dev.stack import LocalStack
from tests.support.world import World


@pytest.fixture
async def quiet_world(stack: LocalStack) -> AsyncIterator[World]:
    """Fresh namespaces, and no operator yet: the test starts it."""
    world = World(stack)
    try:
        await world.open()
        yield world
    finally:
        await world.close()


@pytest.fixture
async def world(quiet_world: World) -> World:
    """Fresh namespaces with an operator."""
    await quiet_world.start_operator()
    return quiet_world
