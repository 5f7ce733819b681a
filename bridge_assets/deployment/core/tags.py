"""How a target remembers what is ours: an owner tag, and the trail of slots that answered, newest first.

Keys and values keep to what every provider takes: lower case, digits and dashes, at most 63 characters.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge_assets.deployment.core.target import TRAIL_KEPT
from bridge_assets.errors import NotOurs

OWNER = "bridge-assets-owner"
_TRAIL = "bridge-assets-slot-{}"


def tags_of(owner: str, trail: tuple[str, ...] = ()) -> dict[str, str]:
    """The tags of an endpoint: its owner, the slot that answers (0), the one before it (1) ..."""
    newest_first = reversed(trail[-TRAIL_KEPT:])
    return {OWNER: owner, **{_TRAIL.format(number): slot for number, slot in enumerate(newest_first)}}


def trail_in(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The trail that `tags_of` wrote, oldest first."""
    slots = [tags.get(_TRAIL.format(number), "") for number in range(TRAIL_KEPT)]
    return tuple(slot for slot in reversed(slots) if slot)


def check_owner(tags: Mapping[str, str], owner: str, what: str, where: str) -> None:
    """Refuse to go on with something that is somebody else's.

    Parameters
    ----------
    tags : mapping
        Of the resource that was found under our name.
    owner : str
        `owner` of environment.yaml.
    what : str
        The resource, such as `the endpoint bridge-fall`.
    where : str

    Raises
    ------
    NotOurs
    """
    if (found := tags.get(OWNER)) != owner:
        raise NotOurs(
            f"{what} is not ours",
            where=where,
            why=f"Its tag {OWNER} is {found}, not {owner}" if found else f"It has no tag {OWNER}",
            do="choose another name in configs/environment.yaml. Nothing there was touched",
        )
