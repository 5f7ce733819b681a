"""What a mistyped structure key was probably meant to be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

from bridge_assets.nbi.coding_guide.codes import STATE_NAMES

_STATE_AND_NUMBER = re.compile(r"\s*(\d{1,2})\s*-\s*(.*?)\s*")


def near_keys(wanted: str, keys: Sequence[str], limit: int = 3) -> list[str]:
    """The keys that are most likely meant, best first.

    Case, blanks, zeros at the front and a missing state code are tried before similar spellings in the same state.

    Parameters
    ----------
    wanted : str
    keys : sequence of str
        The keys that exist.
    limit : int
        The most keys to return.
    """
    state, number = _parts(wanted)
    if not number:
        return []
    plain = _plain(number)
    same_number = [key for key in keys if _plain(key[3:]) == plain]
    if found := [key for key in same_number if not state or key[:2] == state] or same_number:
        return found[:limit]
    in_state = {key[3:].upper(): key for key in keys if key[:2] == state}
    return [in_state[each] for each in get_close_matches(number.upper(), list(in_state), limit, cutoff=0.7)]


def why_unknown(wanted: str, keys: Sequence[str]) -> str:
    """Which part of a key is wrong, in a sentence without its full stop."""
    state, _ = _parts(wanted)
    states = sorted({key[:2] for key in keys})
    if not state:
        return "A key starts with a two-digit state code and a dash"
    if state not in STATE_NAMES:
        return f"{state} is not a state code of the NBI (item 1)"
    if state not in states:
        return f"None of its {len(keys):,} bridges is in {STATE_NAMES[state]} ({state}); states: {', '.join(states)}"
    count = sum(key[:2] == state for key in keys)
    return f"{count:,} of its {len(keys):,} bridges are in {STATE_NAMES[state]} ({state}), but none has this number"


def _parts(wanted: str) -> tuple[str, str]:
    """State code with two digits, or an empty text, and structure number."""
    match = _STATE_AND_NUMBER.fullmatch(wanted)
    return (match[1].zfill(2), match[2]) if match else ("", wanted.strip().lstrip("-"))


def _plain(number: str) -> str:
    return "".join(number.split()).upper().lstrip("0")
