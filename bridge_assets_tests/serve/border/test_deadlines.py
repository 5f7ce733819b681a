"""Deadlines of tasks: a late one gets TimeoutError, and a cancelled one stays cancelled."""

from __future__ import annotations

import asyncio

import pytest

from bridge_assets.serve.border import deadlines
from bridge_assets.serve.border.deadlines import Deadlines


@pytest.fixture(autouse=True)
def looks_often(monkeypatch):
    monkeypatch.setattr(deadlines, "_LOOK_SECONDS", 0.02)


def test_only_a_late_block_is_ended():
    async def run() -> list[str]:
        within, outcomes = Deadlines(), []

        async def wait(seconds: float) -> None:
            task = within.begin(0.2)
            try:
                await asyncio.sleep(seconds)
                outcomes.append("in time")
            except asyncio.CancelledError:
                assert within.is_late(task)
                assert not within.is_late(task)
                outcomes.append("late")
            finally:
                within.end(task)

        await asyncio.gather(wait(30), wait(0), wait(0.05))
        await wait(0)
        assert (within._until, within._late) == ({}, set())
        return outcomes

    assert asyncio.run(asyncio.wait_for(run(), 10)) == ["in time", "in time", "late", "in time"]


def test_a_task_that_is_cancelled_by_somebody_else_stays_cancelled():
    async def run() -> None:
        within, both = Deadlines(), Deadlines()

        async def wait(deadlines: Deadlines, seconds: float) -> None:
            task = deadlines.begin(seconds)
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                assert not deadlines.is_late(task)
                raise

        task = asyncio.create_task(wait(within, 30))
        late = asyncio.create_task(wait(both, 0))
        await asyncio.sleep(0)
        both._look(asyncio.get_running_loop())
        task.cancel()
        late.cancel()
        for each in (task, late):
            with pytest.raises(asyncio.CancelledError):
                await each

    asyncio.run(run())
