"""Text as Slack accepts it: escaped, and bounded."""

from __future__ import annotations

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
    pieces = [_ESCAPED.get(character, character) for character in msg]
    if _length(pieces) <= MAX_CHARACTERS:
        return "".join(pieces)
    used = kept = 0
    for piece in pieces:
        used += _length([piece])
        if used > MAX_CHARACTERS - _NOTE_CHARACTERS:
            break
        kept += 1
    return f"{''.join(pieces[:kept])}\n… ({len(msg) - kept:,} of {len(msg):,} characters were cut)"


def _length(pieces: list[str]) -> int:
    return sum(len(piece) + sum(character > "\uffff" for character in piece) for piece in pieces)
