"""A message as Slack's blocks: the first line in bold, the text, and links that can be clicked.

Bounded three times: 3,000 characters a block, 50 blocks a message
(https://docs.slack.dev/reference/block-kit/blocks), and 12,000 characters in all, so that the answer is not
`msg_blocks_too_long`; Slack documents that error without its limit, and 12,000 for the blocks of type markdown
(https://docs.slack.dev/reference/block-kit/blocks/markdown-block).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from bridge_assets.alerting.text import MAX_CHARACTERS, cut, escaped_length, slack_text

#: Blocks of one message.
MAX_BLOCKS = 50

#: Characters of all blocks of one message.
MAX_TOTAL = 12_000

#: Characters that a link may contain as they are. `<`, `>` and `|` end a link in Slack's markup.
_SAFE_IN_LINK = "/:?&=#%+,;@()[]!$'*~.-_"


def slack_blocks(text: str, links: Sequence[tuple[str, str]] = ()) -> list[dict[str, Any]]:
    """Blocks of a message.

    Parameters
    ----------
    text : str
        Plain text, as in `Message.text`. Lines such as `Run: https://...` that repeat a link are left out.
    links : sequence of (str, str)
        Label and address.

    Returns
    -------
    list of dict
        At least one; JSON.
    """
    repeated = {f"{label}: {address}" for label, address in links}
    linked = _links(links)
    body = "\n".join(line for line in text.split("\n") if line not in repeated)
    body = cut(body, MAX_TOTAL - len(linked))
    first, _, rest = body.partition("\n")
    blocks = [_section(piece) for piece in _pieces(first, bold="*" not in first)]
    blocks += [_section(piece) for piece in _pieces(rest)]
    if linked:
        blocks = [*blocks[: MAX_BLOCKS - 1], _section(linked)]
    return blocks[:MAX_BLOCKS]


def _section(text: str) -> dict[str, Any]:
    # verbatim: names of channels and users in the text stay text.
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _links(links: Sequence[tuple[str, str]]) -> str:
    """The links in one line; those that have no room are left out, because half an address leads nowhere."""
    line = ""
    for label, address in links:
        link = f"<{quote(address, safe=_SAFE_IN_LINK).replace('&', '&amp;')}|{slack_text(label)}>"
        if len(line) + len(link) + 3 <= MAX_CHARACTERS:
            line += f" · {link}" if line else link
    return line


def _pieces(text: str, bold: bool = False) -> Iterator[str]:
    """Escaped pieces of at most 3,000 characters, cut between lines where that is possible."""
    room, piece = MAX_CHARACTERS - 2 * bold, ""
    lines = [part for line in text.split("\n") for part in _parts(line, room)]
    for line in lines:
        longer = f"{piece}\n{line}" if piece else line
        if piece and escaped_length(longer) > room:
            yield _escaped(piece, bold)
            piece = line
        else:
            piece = longer
    if piece.strip():
        yield _escaped(piece, bold)


def _parts(line: str, room: int) -> Iterator[str]:
    """A line, or its parts if it has no room in one block."""
    part, used = "", 0
    for character in line:
        length = escaped_length(character)
        if used + length > room:
            yield part
            part, used = "", 0
        part, used = part + character, used + length
    yield part


def _escaped(piece: str, bold: bool) -> str:
    text = slack_text(piece.strip("\n"))
    return f"*{text}*" if bold else text
