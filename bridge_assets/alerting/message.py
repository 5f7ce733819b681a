"""A message: what is kept on disk, and how it reads when it is sent, alone or in a digest."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge_assets.alerting.slack import WEBHOOK_VARIABLE
from bridge_assets.alerting.text import MAX_CHARACTERS, slack_text, utc_minute

#: Seconds after which a message says when it was written.
_LATE_SECONDS = 300.0

#: Characters of a digest that are left for the line about what it does not list: a path.
_LAST_LINE_CHARACTERS = 400


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes
    ----------
    key : str
        What it is about, such as `check_failed:RUN:ASSET:CHECK:PARTITION`. A second message with the key is ignored.
    summary : str
        One line, for a digest.
    text : str
        The whole message, plain.
    variable : str
        The destination: its name, or the environment variable with the webhook, whose address is never on disk.
    written : float
        Seconds since the epoch.
    started : float
        When a request began whose outcome is unknown; 0 if there is none.
    members : tuple of str
        Of a digest: names of the files that it stands for.
    accepted : bool
        Of a digest: Slack has it, and the members have yet to be moved.
    links : tuple of (str, str)
        Label and address; the text has a line `label: address` for each.
    held : bool
        It was written in quiet hours, and waits for their end.
    """

    key: str
    summary: str
    text: str
    variable: str = WEBHOOK_VARIABLE
    written: float = 0.0
    started: float = 0.0
    members: tuple[str, ...] = ()
    accepted: bool = False
    links: tuple[tuple[str, str], ...] = ()
    held: bool = False


def digest_of(waiting: Sequence[Message], names: Sequence[str], not_kept: int, folder: Path) -> Message:
    """One message for many: how many of which, the first lines, and where the others are.

    Parameters
    ----------
    waiting : sequence of Message
        At least one, of one destination, in order.
    names : sequence of str
        Of their files.
    not_kept : int
        Number of further messages for which there was no room on disk.
    folder : Path
        Where the files will be.
    """
    kinds = Counter(message.key.partition(":")[0].replace("_", " ") for message in waiting)
    counted = ", ".join(f"{count:,} {kind}" for kind, count in sorted(kinds.items()))
    total = len(waiting) + not_kept
    quiet = " (quiet hours)" if any(message.held for message in waiting) else ""
    lines = [f"{total:,} alerts since {utc_minute(waiting[0].written)} in one message{quiet}: {counted}."]
    if not_kept:
        lines.append(f"{not_kept:,} of the alerts are counted but not kept, because too many were waiting.")
    listed = 0
    for message in waiting:
        line = f"- {message.summary[:300]}"
        if len(slack_text("\n".join([*lines, line]))) > MAX_CHARACTERS - _LAST_LINE_CHARACTERS:
            break
        lines.append(line)
        listed += 1
    if listed < len(waiting):
        lines.append(f"... and {len(waiting) - listed:,} more: the files in {folder}")
    return Message(
        key=f"digest:{names[0]}:{names[-1]}",
        summary=lines[0],
        text="\n".join(lines),
        variable=waiting[0].variable,
        members=tuple(names),
    )


def as_sent(message: Message) -> str:
    """The text, with a note if it may be a repetition or comes late."""
    notes = []
    if message.started:
        notes.append(
            f"This may be a repetition: a request at {utc_minute(message.started)} was interrupted before Slack's "
            "answer was recorded."
        )
    elif message.held and not message.members:
        notes.append(f"Held back in quiet hours: this is from {utc_minute(message.written)}.")
    elif not message.members and time.time() - message.written > _LATE_SECONDS:
        notes.append(f"Delivered late: this is from {utc_minute(message.written)}.")
    return "\n".join([*notes, message.text])
