"""Messages on disk until Slack has them.

A message is written to `pending` before it is sent, one file each, and moved to `delivered` after Slack accepted it.
Its key is derived from what it is about (run, asset, check), so the same event never becomes two messages, whoever
reads the event log again. Messages of one destination are sent in the order in which they were added; the first that
Slack does not take stops the others, and the next `flush` goes on there. So nothing is lost while Slack is down.

**What can arrive twice.** Neither webhooks nor `chat.postMessage` have an idempotency key: Slack cannot be asked
whether it has a message. If this process is killed, or the connection breaks, after a request was sent and before the
answer was recorded, the message is sent once more, and says that it may be a repetition. A server error (5xx) of a
proxy that had already passed the message on has the same effect, without the note. Everything else arrives once.

Belongs here: keeping and sending text. Does not belong here: what is worth a message (`orchestration.alerts`).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from bridge_assets.alerting.blocks import slack_blocks
from bridge_assets.alerting.destinations import Destination, Webhook
from bridge_assets.alerting.message import Message, as_sent, digest_of
from bridge_assets.alerting.slack import Delivery
from bridge_assets.alerting.text import slack_text
from bridge_assets.file_lock import LockHeldError, file_lock
from bridge_assets.storage import write_json

#: Messages that wait for one destination. Those beyond it are counted, not kept: 3 KB each.
MAX_PENDING = 5000

#: Delivered messages that are remembered by their key.
MAX_DELIVERED = 10_000

#: More waiting messages than this become one digest.
DIGEST_ABOVE = 10

#: Seconds after which `flush` starts no further request. A sensor's tick has 60 s, and one request takes up to 20.
FLUSH_SECONDS = 25.0

#: Longest time, in seconds, that a Retry-After holds sending back. Slack's own are around 30 s.
_MAX_HOLD_SECONDS = 3600.0

_LOCK_SECONDS = 30.0


@dataclass
class Flush:
    """What `Outbox.flush` did: messages that Slack accepted, messages that still wait, and why they wait."""

    delivered: int = 0
    waiting: int = 0
    problems: tuple[str, ...] = ()


class Outbox:
    """The messages of one platform.

    Parameters
    ----------
    folder : Path
        Created with the first message.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pending, self.delivered, self.rejected = folder / "pending", folder / "delivered", folder / "rejected"

    def add(self, messages: Iterable[Message]) -> int:
        """Write messages to disk, in this order; returns how many are new.

        Raises
        ------
        StorageError
            If one cannot be written. The earlier ones are kept; adding all again adds the missing ones.
        """
        messages = list(messages)
        if not messages:
            return 0
        with file_lock(self.folder / "add.lock", _LOCK_SECONDS):
            names = [path.name for each in (self.pending, self.delivered, self.rejected) for path in _files(each)]
            known = {_digest_of(name) for name in names}
            number, waiting = max(map(_number_of, names), default=0), len(_files(self.pending))
            new = overflow = 0
            for message in messages:
                digest = _key_digest(message.key)
                if digest in known:
                    continue
                known.add(digest)
                if waiting + new >= MAX_PENDING and not message.members:
                    overflow += 1
                    continue
                new += 1
                message = _encodable(replace(message, written=message.written or time.time()))
                write_json(asdict(message), self.pending / f"{number + new:010d}.{digest}.json")
            if overflow:
                write_json({"messages": self._not_kept() + overflow}, self.folder / "not_kept.json")
        return new

    def flush(
        self,
        addresses: Mapping[str, Destination | str],
        digest_above: int = DIGEST_ABOVE,
        quiet: bool = False,
        default: str = "",
    ) -> Flush:
        """Send what waits, oldest first, until it is done, Slack does not take a message, or 25 s have passed.

        Parameters
        ----------
        addresses : mapping
            Name of a destination -> the destination, or the address of a webhook. Messages for others wait.
        digest_above : int
            If more messages wait for a destination, one digest is sent for all of them.
        quiet : bool
            It is in quiet hours: messages that are held wait. Afterwards, those of a destination are one digest.
        default : str
            Takes the messages for destinations that are not among the addresses any more; empty = they wait.

        Returns
        -------
        Flush
            If another process is sending, nothing is done.
        """
        if not _files(self.pending):
            return Flush()
        result = Flush()
        try:
            with file_lock(self.folder / "send.lock", timeout=_LOCK_SECONDS):
                deadline = time.monotonic() + FLUSH_SECONDS
                self._finish_digests()
                if default:
                    self._redirect(set(addresses), default)
                for variable, address in addresses.items():
                    destination = Webhook(address) if isinstance(address, str) else address
                    queue = partial(self._queue, variable, digest_above, quiet)
                    if problem := self._flush_one(variable, destination, queue, deadline, result):
                        result.problems += (f"{variable}: {problem}",)
                for path in _files(self.delivered)[:-MAX_DELIVERED]:
                    path.unlink(missing_ok=True)
        except LockHeldError as held:
            result.problems = (f"process {held.holder} is sending",)
        result.waiting = len(_files(self.pending))
        return result

    def _flush_one(
        self,
        variable: str,
        destination: Destination,
        queue: Callable[[], list[tuple[Path, Message]]],
        deadline: float,
        result: Flush,
    ) -> str:
        """Send to one destination; returns why messages still wait."""
        if seconds := self._hold(variable):
            return f"Slack asked to wait; {seconds:.0f} s are left"
        for path, message in queue():
            if time.monotonic() > deadline:
                return f"no more than {FLUSH_SECONDS:g} s are spent at a time"
            started = replace(message, started=time.time())
            write_json(asdict(started), path)
            text = as_sent(message)
            delivery = destination.post(slack_text(text), slack_blocks(text, message.links))
            if delivery.delivered:
                self._accept(path, started)
                result.delivered += len(message.members) or 1
                continue
            if not delivery.uncertain:
                self._take_back(path, message)
            if delivery.unacceptable and not message.members:
                _move(path, self.rejected)
                result.problems += (f"{variable}: {delivery.problem}; it is kept as {self.rejected / path.name}",)
                continue
            self._set_hold(variable, delivery)
            return delivery.problem
        return ""

    def _queue(self, variable: str, digest_above: int, quiet: bool) -> list[tuple[Path, Message]]:
        """What to send, in order: the messages themselves, or one digest if there are many or if they were held."""
        waiting = [(path, message) for path in _files(self.pending) if (message := _read(path)).variable == variable]
        in_digest = {name for _, message in waiting for name in message.members}
        queue = [(path, message) for path, message in waiting if path.name not in in_digest]
        # What may have been sent already is repeated as it was.
        interrupted = [each for each in queue if each[1].started]
        rest = [each for each in queue if not each[1].started and not (quiet and each[1].held)]
        held = [each for each in rest if each[1].held]
        together = rest if len(rest) - len(held) > digest_above else held
        if len(together) < 2:
            return [*interrupted, *rest]
        messages, names = [message for _, message in together], [path.name for path, _ in together]
        digest = digest_of(messages, names, self._not_kept(), self.delivered)
        self.add([digest])
        path = next(self.pending.glob(f"*.{_key_digest(digest.key)}.json"))
        return [*interrupted, (path, _read(path)), *(each for each in rest if each not in together)]

    def _accept(self, path: Path, message: Message) -> None:
        if message.members:
            write_json(asdict(replace(message, accepted=True)), path)
            self._finish_digests()
        else:
            _move(path, self.delivered)

    def _finish_digests(self) -> None:
        """Move the members of accepted digests, and the digests; also after a kill."""
        for path in _files(self.pending):
            message = _read(path)
            if message.accepted:
                for name in message.members:
                    _move(self.pending / name, self.delivered)
                (self.folder / "not_kept.json").unlink(missing_ok=True)
                _move(path, self.delivered)

    def _redirect(self, known: set[str], default: str) -> None:
        """Give the default what waits for a destination that was removed, or whose token or webhook was."""
        for path in _files(self.pending):
            message = _read(path)
            if message.variable in known:
                continue
            if message.members:  # its members are redirected, and become another digest
                path.unlink()
            else:
                write_json(asdict(replace(message, variable=default)), path)

    def _take_back(self, path: Path, message: Message) -> None:
        """Undo the beginning of a request that Slack did not take. A digest is made anew at the next attempt."""
        if message.members and not message.started:
            path.unlink()
        else:
            write_json(asdict(message), path)

    def _not_kept(self) -> int:
        path = self.folder / "not_kept.json"
        return json.loads(path.read_text(encoding="utf-8"))["messages"] if path.is_file() else 0

    def _hold(self, variable: str) -> float:
        """Seconds that Slack still wants to be left alone; 0 if the clock was set back since."""
        path = self.folder / f"hold.{variable}.json"
        if not path.is_file():
            return 0.0
        hold = json.loads(path.read_text(encoding="utf-8"))
        since = time.time() - hold["asked"]
        return max(0.0, hold["seconds"] - since) if since >= 0 else 0.0

    def _set_hold(self, variable: str, delivery: Delivery) -> None:
        if delivery.retry_after:
            hold = {"asked": time.time(), "seconds": min(delivery.retry_after, _MAX_HOLD_SECONDS)}
            write_json(hold, self.folder / f"hold.{variable}.json")


def _encodable(message: Message) -> Message:
    """The message without lone surrogates, which come from names of files and cannot be written as UTF-8."""
    summary, text = (value.encode("utf-8", "replace").decode() for value in (message.summary, message.text))
    return replace(message, key=message.key.encode("utf-8", "replace").decode(), summary=summary, text=text)


def _read(path: Path) -> Message:
    values = json.loads(path.read_text(encoding="utf-8"))
    links = tuple((label, address) for label, address in values.get("links", ()))
    return Message(**{**values, "members": tuple(values["members"]), "links": links})


def _files(folder: Path) -> list[Path]:
    """The messages in a folder, in the order in which they were added."""
    return sorted(folder.glob("[0-9]*.json")) if folder.is_dir() else []


def _move(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.replace(folder / path.name)


def _key_digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:24]


def _number_of(name: str) -> int:
    return int(name.partition(".")[0])


def _digest_of(name: str) -> str:
    return name.split(".")[1]
