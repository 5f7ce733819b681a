"""Text as Slack accepts it: escaped, and bounded; and how a time reads in it."""

from __future__ import annotations

from datetime import UTC, datetime

#: Characters of the text of one block (https://docs.slack.dev/reference/block-kit/blocks/section-block).
MAX_CHARACTERS = 3000

#: The characters that Slack reads as markup (https://docs.slack.dev/messaging/formatting-message-text#escaping).
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

#: Room for the note of a cut text.
_NOTE_CHARACTERS = 80


def slack_text(msg: str) -> str:
    """A message in Slack's form: `&`, `<` and `>` escaped, and at most 3,000 characters.

    Parameters
    ----------
    msg : str
        Plain text.

    Returns
    -------
    str
        The whole text, or its beginning and a note that says how much was cut. An escaped character is never split.
        Characters beyond the Basic Multilingual Plane count twice, because it is not documented how Slack counts them.
    """
    return "".join(_ESCAPED.get(character, character) for character in cut(msg, MAX_CHARACTERS))


def utc_minute(seconds: float) -> str:
    """A time, in seconds since the epoch, as `2026-11-30 09:57 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def cut(msg: str, characters: int) -> str:
    """A text whose escaped form has at most so many characters: the whole, or its beginning and a note."""
    if escaped_length(msg) <= characters:
        return msg
    used = kept = 0
    for character in msg:
        used += escaped_length(character)
        if used > characters - _NOTE_CHARACTERS:
            break
        kept += 1
    return f"{msg[:kept]}\n… ({len(msg) - kept:,} of {len(msg):,} characters were cut)"


def escaped_length(msg: str) -> int:
    """Number of characters of the escaped text, as Slack counts them at most."""
    return sum(len(_ESCAPED.get(character, character)) + (character > "\uffff") for character in msg)
