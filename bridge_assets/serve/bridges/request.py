"""A request by structure key or raw NBI record: its keys and limits.

{"structures": [{"state": "25", "structure": "B-16-123"}], "explain": true}
{"records": [{"1": "25", "8": "B-16-123", "58": "5", "DATE_OF_INSPECT_090": "0624"}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge_assets.data.records.single_record import structure_key
from bridge_assets.nbi.coding_guide.codes import STATE_NAMES
from bridge_assets.nbi.coding_guide.items import ITEMS
from bridge_assets.serve.requests.request_body import strict_json
from bridge_assets.serve.requests.request_rows import RequestError, describe_value, shown

STRUCTURES, RECORDS, EXPLAIN = "structures", "records", "explain"

#: Bridges in a request. A chosen limit: a record takes a few milliseconds.
MAX_BRIDGES = 1000

#: Bridges in a request with `explain`. A chosen limit: contributions take some milliseconds for each.
MAX_EXPLAINED = 50

#: Characters of a structure number; item 8 has 15 in a file. A chosen limit.
_MAX_NUMBER = 40

_KEY_FIELDS = ("state", "structure")


@dataclass(frozen=True)
class BridgeRequest:
    """A request.

    Attributes
    ----------
    keys : tuple of str
        Structure keys, if it has them.
    records : tuple of mapping
        Raw records, otherwise.
    explain : bool
        Whether to add the contributions of the features.
    """

    keys: tuple[str, ...] = ()
    records: tuple[Mapping[str, Any], ...] = ()
    explain: bool = False


def parse_body(body: bytes | bytearray) -> dict[str, Any]:
    """A body as a JSON object. Its structure is counted first, since a parsed value takes up to 40 times its bytes.

    Raises
    ------
    RequestError
        400 if it is not such an object, or has a key twice; 413 for more values than the largest valid request.
    """
    for character, most, what in (
        (b",", MAX_BRIDGES * (len(ITEMS) + 2), "values"),
        (b"{", 2 * MAX_BRIDGES, "objects"),
        (b"[", 2 * MAX_BRIDGES, "lists"),
    ):
        if (count := body.count(character)) > most:
            raise RequestError(f"{count:,} {what} are too many; send at most {MAX_BRIDGES:,} bridges in a request", 413)
    value = strict_json(body)
    if not isinstance(value, dict):
        raise RequestError(f"the body: expected an object, found {describe_value(value)}")
    return value


def concerns_bridges(request: Mapping[str, Any]) -> bool:
    """Whether a request has structures or records, instead of rows of features."""
    return STRUCTURES in request or RECORDS in request


def parse_request(request: Mapping[str, Any]) -> BridgeRequest:
    """Check a request.

    Raises
    ------
    RequestError
        413 for too many bridges, 422 for anything else.
    """
    if unknown := [key for key in request if key not in (STRUCTURES, RECORDS, EXPLAIN)]:
        with_rows = "; send rows of features, structures or records in requests of their own"
        raise RequestError(
            f"the body: {shown(unknown[0])} does not go with structures or records"
            + (with_rows if unknown[0] == "instances" else f"; expected '{EXPLAIN}' at most"),
            422,
        )
    if STRUCTURES in request and RECORDS in request:
        raise RequestError(f"the body: send '{STRUCTURES}' or '{RECORDS}', not both", 422)
    explain = request.get(EXPLAIN, False)
    if not isinstance(explain, bool):
        raise RequestError(f"{EXPLAIN}: expected true or false, found {describe_value(explain)}", 422)
    kind = STRUCTURES if STRUCTURES in request else RECORDS
    values = request[kind]
    if not isinstance(values, list) or not values:
        found = "an empty list" if values == [] else describe_value(values)
        raise RequestError(f"{kind}: expected a list of objects, found {found}", 422)
    _check_count(kind, len(values), explain)
    for number, value in enumerate(values):
        if not isinstance(value, dict):
            raise RequestError(f"{_name(kind)} {number}: expected an object, found {describe_value(value)}", 422)
    if kind == RECORDS:
        return BridgeRequest(records=tuple(values), explain=explain)
    return BridgeRequest(keys=tuple(_key(number, value) for number, value in enumerate(values)), explain=explain)


def _check_count(kind: str, count: int, explain: bool) -> None:
    most = MAX_EXPLAINED if explain else MAX_BRIDGES
    if count > most:
        why = " with explain" if explain else ""
        raise RequestError(f"{count:,} {kind} are too many for one request{why}; send at most {most:,}", 413)


def _name(kind: str) -> str:
    return kind.removesuffix("s")


def _key(number: int, value: Mapping[str, Any]) -> str:
    if unknown := [name for name in value if name not in _KEY_FIELDS]:
        raise RequestError(
            f"structure {number}: unknown key {shown(unknown[0])}; expected 'state' and 'structure'", 422
        )
    state, structure = (_text(number, name, value.get(name)) for name in _KEY_FIELDS)
    if state.zfill(2)[:2] not in STATE_NAMES or len(state) > 3:
        raise RequestError(
            f"structure {number}: state: {shown(state)} is not a state code of the NBI (item 1), such as '25'", 422
        )
    return structure_key(state, structure)


def _text(number: int, name: str, value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        found = "nothing" if value in (None, "") else describe_value(value)
        item = "item 1, two digits" if name == "state" else "item 8"
        raise RequestError(f"structure {number}: {name}: expected the text of {item}, found {found}", 422)
    if len(value) > _MAX_NUMBER:
        raise RequestError(f"structure {number}: {name}: {len(value):,} characters are too many", 422)
    return value.strip()
