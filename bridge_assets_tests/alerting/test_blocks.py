"""Blocks stay within Slack's limits whatever the text is, and keep it."""

from __future__ import annotations

import pytest

from bridge_assets.alerting.blocks import MAX_BLOCKS, MAX_TOTAL, slack_blocks
from bridge_assets.alerting.text import MAX_CHARACTERS, slack_text


def texts(blocks: list[dict]) -> list[str]:
    return [block["text"]["text"] for block in blocks]


@pytest.mark.parametrize(
    "unit", ["x", "x\n", "&", "\N{BRIDGE AT NIGHT}", "word & word\n", "\n", "x" * 2999 + "\n", "&" * 900 + "\n"]
)
@pytest.mark.parametrize("times", [1, 10, 400, 3_000])
def test_no_limit_is_passed(unit, times):
    blocks = slack_blocks(unit * times, [("Run", "https://example.org/" + "a" * 200)] * 3)
    assert 1 <= len(blocks) <= MAX_BLOCKS
    lengths = [len(text.encode("utf-16-le")) // 2 for text in texts(blocks)]
    assert max(lengths) <= MAX_CHARACTERS
    assert min(lengths) >= 1
    assert sum(lengths) <= MAX_TOTAL + 2
    assert texts(blocks)[-1].startswith("<https://example.org/")


def test_the_whole_text_is_there_in_order():
    text = "\n".join(f"line {number} " + "y" * 100 for number in range(60))
    first, *rest = texts(slack_blocks(text))
    assert first == f"*{text.partition(chr(10))[0]}*"
    assert "\n".join([first.strip("*"), *rest]) == text


def test_what_is_cut_is_said():
    assert texts(slack_blocks("x" * 20_000))[-1].endswith("of 20,000 characters were cut)")


def test_links_can_be_clicked_and_cannot_be_forged():
    [first, links] = texts(slack_blocks("Run <b>|failed*", [("A|b", "https://example.org/a?x=1&y=<|>")]))
    assert first == slack_text("Run <b>|failed*")
    assert links == "<https://example.org/a?x=1&amp;y=%3C%7C%3E|A|b>"


def test_an_empty_text_has_its_link():
    assert texts(slack_blocks("", [("Run", "https://example.org")])) == ["<https://example.org|Run>"]
