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
            try:
                with within.within(0.2):
                    await asyncio.sleep(seconds)
                outcomes.append("in time")
            except TimeoutError:
                outcomes.append("late")

        await asyncio.gather(wait(30), wait(0), wait(0.05))
        await wait(0)
        assert (within._until, within._late) == ({}, set())
        return outcomes

    assert asyncio.run(asyncio.wait_for(run(), 10)) == ["in time", "in time", "late", "in time"]


def test_a_task_that_is_cancelled_by_somebody_else_stays_cancelled():
    async def run() -> None:
        async def wait() -> None:
            with Deadlines().within(30):
                await asyncio.sleep(30)

        task = asyncio.create_task(wait())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
