"""An exporter answers in time, whatever happens to what it reads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from metrics.test_prometheus_metrics import samples

from bridge_assets.metrics.exporter import SCRAPE_TIMEOUT_HEADER, Exporter, Reading, make_exporter_app


def scraped(exporter: Exporter) -> dict[str, float]:
    return samples(exporter.exposition()[0].decode())


def good() -> Iterator[Reading]:
    yield Reading("size_bytes", "Size.", ("disk",), {("a",): 1, ('with "quotes"\n',): 2})
    yield Reading("nothing", "Has no value.")


def broken() -> Iterator[Reading]:
    yield Reading("half", "Half of it.", (), {(): 1})
    raise OSError("database is locked")


def test_what_is_read_is_answered():
    found = scraped(Exporter({"good": good}))
    assert found['size_bytes{disk="a"}'] == 1
    assert found['size_bytes{disk="with "quotes"\n"}'] == 2
    assert found['bridge_assets_exporter_part_success{part="good"}'] == 1
    assert 0 <= found['bridge_assets_exporter_part_seconds{part="good"}'] < 5


def test_an_error_is_a_metric_and_the_other_parts_are_there(capsys):
    exporter = Exporter({"broken": broken, "good": good})
    for attempt in (1, 2):
        found = scraped(exporter)
        assert 'size_bytes{disk="a"}' in found
        assert "half" not in found
        assert found['bridge_assets_exporter_part_success{part="broken"}'] == 0
        assert found['bridge_assets_exporter_part_errors_total{part="broken"}'] == attempt
    assert capsys.readouterr().err == "broken cannot be read: OSError: database is locked\n"


def test_a_part_that_does_not_end_costs_the_answer_no_more_than_its_time_and_one_thread():
    begun, may_end = [], threading.Event()

    def stuck() -> Iterator[Reading]:
        begun.append(threading.get_ident())
        may_end.wait(20)
        yield Reading("late", "Late.", (), {(): 1})

    found: dict[str, float] = {}
    exporter = Exporter({"stuck": stuck, "good": good}, seconds=0.2)
    for _ in range(5):
        started = time.monotonic()
        found = scraped(exporter)
        assert time.monotonic() - started < 2
        assert found['bridge_assets_exporter_part_success{part="stuck"}'] == 0
        assert found['bridge_assets_exporter_part_success{part="good"}'] == 1
    assert found['bridge_assets_exporter_part_seconds{part="stuck"}'] == pytest.approx(1, abs=2)
    assert len(begun) == 1
    may_end.set()
    deadline = time.monotonic() + 10
    while "late" not in (found := scraped(exporter)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found["late"] == 1


def answer(exporter: Exporter, path: str, timeout: str = "") -> httpx.Response:
    """What the app answers to a scraper that waits so long."""

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(make_exporter_app(exporter))
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            return await client.get(path, headers={SCRAPE_TIMEOUT_HEADER: timeout} if timeout else {})

    return asyncio.run(get())


def test_a_scraper_that_waits_less_is_answered_sooner():
    exporter = Exporter({"slow": lambda: time.sleep(5) or [], "good": good})
    for timeout, most in (("1", 2.5), ("0.1", 1.5)):
        began = time.monotonic()
        found = samples(answer(exporter, "/metrics", timeout).text)
        assert time.monotonic() - began < most
        assert found['bridge_assets_exporter_part_success{part="good"}'] == 1


@pytest.mark.parametrize("timeout", ["", "soon", "-1", "1e400"])
def test_a_header_that_is_no_number_of_seconds_is_no_error(timeout):
    assert answer(Exporter({"good": good}), "/metrics", timeout).status_code == 200


def test_health_reads_nothing():
    reply = answer(Exporter({"never": lambda: pytest.fail("read")}), "/health")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})
