"""Tags of a deployed endpoint: its owner, and the deployment history, newest slot first.

Keys and values use only characters that every provider accepts: lower case, digits and dashes, at most 63 characters.
"""

from __future__ import annotations

from collections.abc import Mapping

from bridge_assets.deployment.core.target import HISTORY_LIMIT
from bridge_assets.errors import OwnershipError

OWNER_TAG = "bridge-assets-owner"
_SLOT_TAG = "bridge-assets-slot-{}"


def deployment_tags(owner: str, history: tuple[str, ...] = ()) -> dict[str, str]:
    """The tags of an endpoint: its owner, the current slot (0), the previous one (1), and so on."""
    newest_first = reversed(history[-HISTORY_LIMIT:])
    return {OWNER_TAG: owner, **{_SLOT_TAG.format(number): slot for number, slot in enumerate(newest_first)}}


def history_from_tags(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The deployment history that `deployment_tags` wrote, oldest slot first."""
    slots = [tags.get(_SLOT_TAG.format(number), "") for number in range(HISTORY_LIMIT)]
    return tuple(slot for slot in reversed(slots) if slot)


def check_owner(tags: Mapping[str, str], owner: str, what: str, where: str) -> None:
    """Raise an error if a resource belongs to another owner.

    Parameters
    ----------
    tags : mapping
        Tags of the existing resource.
    owner : str
        `owner` in environment.yaml.
    what : str
        The resource, such as `the endpoint bridge-fall`.
    where : str

    Raises
    ------
    OwnershipError
        If the owner tag is missing or names another owner.
    """
    if (found := tags.get(OWNER_TAG)) != owner:
        raise OwnershipError(
            f"{what} is not ours",
            where=where,
            why=f"Its tag {OWNER_TAG} is {found}, not {owner}" if found else f"It has no tag {OWNER_TAG}",
            do="choose another name in configs/environment.yaml. Nothing there was touched",
        )
