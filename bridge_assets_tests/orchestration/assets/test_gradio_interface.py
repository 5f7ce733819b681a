"""The Gradio interface on the small platform: in a browser, with the keyboard, and by gradio_client."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from support.browser import PHONE, accessibility_findings, chromium, open_page
from support.small_platform import YEARS, SmallPlatform

pytest.importorskip("gradio", reason="the interface needs the extra gradio")

LAST = YEARS[1]

#: Seconds for gradio to be imported and to answer, on a busy machine.
START_SECONDS = 120


@contextmanager
def interface(home: Path) -> Iterator[str]:
    """The address of `bridge-assets gradio` for a home."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "bridge-assets"), "gradio", "--port", str(port)]
    environ = {**os.environ, "BRIDGE_ASSETS_DATA__HOME": str(home)}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    url, until = f"http://127.0.0.1:{port}", time.monotonic() + START_SECONDS
    try:
        while True:
            try:
                if httpx.get(f"{url}/config", timeout=30).status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None and time.monotonic() < until, process.communicate(timeout=5)[0]
                time.sleep(0.2)
        yield url
    finally:
        process.kill()  # it holds no state, and Gradio waits for the streams of its pages
        process.wait(timeout=30)


def bridge_with_reasons(platform: SmallPlatform) -> dict[str, Any]:
    scores = platform.lake.read_year("bridge_predictions", LAST)
    return scores.filter(pl.col("reasons").is_not_null()).row(0, named=True)


def test_a_person_and_a_program_find_a_bridge(platform) -> None:
    """One test: gradio takes a while to start."""
    bridge = bridge_with_reasons(platform)
    key, probability = bridge["structure_key"], bridge["fall_probability"]
    with interface(platform.home) as url:
        by_program(url, key, probability)
        with chromium() as browser:
            by_person(browser, url, key, probability)


def by_person(browser: Any, url: str, key: str, probability: float) -> None:
    """With the keyboard: search, open, move a slider, share the address, type a record in; and axe at two widths."""
    with open_page(browser, url) as page:
        page.get_by_text("Pick a bridge, or type one in").wait_for()
        page.get_by_label("Search").press_sequentially(key)
        page.get_by_text("1 bridge", exact=True).wait_for()
        page.get_by_label("Bridges found").focus()
        for pressed in ("ArrowDown", "ArrowDown", "Enter"):
            page.keyboard.press(pressed)
            page.wait_for_timeout(300)
        page.get_by_text(f"{probability * 100:.1f}\N{NO-BREAK SPACE}% likely to drop").wait_for()
        page.get_by_text("Of 100 bridges with about this probability").wait_for()
        page.get_by_text("Raises the risk").wait_for(timeout=60_000)
        assert page.url.endswith(f"?bridge={key}")
        page.locator("input[type=range]:visible").first.focus()
        page.keyboard.press("ArrowLeft")
        page.get_by_text("instead of").wait_for()
        page.get_by_text("not the effect of a measure").wait_for()
        assert settled_findings(page) == []
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert settled_findings(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
    with open_page(browser, f"{url}/?bridge={key}", color_scheme="dark") as page:
        page.get_by_text("Raises the risk").wait_for(timeout=60_000)
        assert settled_findings(page) == []
        page.goto(f"{url}/?bridge={key}X")
        page.get_by_text("unknown structure").wait_for()
        page.get_by_role("tab", name="Type one in").click()
        page.get_by_label("Record").fill("1 = 25\n58 = 12")
        page.get_by_role("button", name="Predict this record").click()
        page.get_by_text("'12' is not one of its codes").wait_for()


def settled_findings(page: Any) -> list[str]:
    """What axe finds once nothing is waited for: Gradio dims what is about to change."""
    page.wait_for_timeout(800)
    return accessibility_findings(page)


def by_program(url: str, key: str, probability: float) -> None:
    """With gradio_client; and without a script, what a browser would load."""
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    client = Client(url, verbose=False, analytics_enabled=False)
    described: Any = client.view_api(return_format="dict", print_info=False)
    assert {"/search", "/predict_structure", "/predict_record"} == set(described["named_endpoints"])
    assert client.predict(key, api_name="/search")[0]["structure_key"] == key
    answer = client.predict(key[:2], key[3:], False, api_name="/predict_structure")
    assert answer["predictions"] == [probability]
    record = {"1": key[:2], "58": "6", "27": 1962}
    assert 0 < client.predict(record, False, api_name="/predict_record")["predictions"][0] < 1
    with pytest.raises(AppError, match=r"'12' is not one of its codes"):
        client.predict({**record, "58": "12"}, False, api_name="/predict_record")
    with pytest.raises(AppError, match=r"unknown structure"):
        client.predict(key[:2], f"{key[3:]}X", False, api_name="/predict_structure")
    loaded = re.findall(
        r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["'](https?:[^"']+)""", httpx.get(url, timeout=30).text
    )
    assert [each for each in loaded if not each.startswith(url)] == []
