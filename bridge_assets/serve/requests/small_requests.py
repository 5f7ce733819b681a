"""Parses valid requests of feature rows with msgspec: one row in a few microseconds.

Whatever it does not know for sure to be valid is left to `request_body` and `request_rows`, which take ten times as
long and say what is wrong. So both accept the same requests and give the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from bridge_assets.data.features.limits import SLACK, FeatureLimit, feature_limits
from bridge_assets.serve.requests.request_rows import MAX_ROWS

if TYPE_CHECKING:
    import numpy as np


class SmallRequests:
    """A parser of `{"instances": [{feature: number or null}]}` for the features of one model.

    Parameters
    ----------
    features : sequence of str
        In the model's order.

    Attributes
    ----------
    type : type
        The typed structure of a request, from which OpenAPI describes it too.

    Raises
    ------
    ImportError
        If msgspec is not installed.
    ValueError
        If a name has a character that msgspec cannot compare, such as a quote.
    """

    def __init__(self, features: Sequence[str]) -> None:
        import msgspec

        self.type = request_type(features)
        self._decode, self._values = msgspec.json.Decoder(self.type).decode, msgspec.structs.astuple
        self._unset: Any = msgspec.UNSET
        self._errors = (msgspec.MsgspecError, RecursionError, ValueError)
        self._features = len(features)

    def rows(self, body: bytes | bytearray) -> np.ndarray | None:
        """The rows of a request as `request_rows.rows_of_instances` gives them; None if it is not certainly valid.

        A body of more than some kilobytes has to pass `request_body.check_size_of_parsed` first.
        """
        import numpy as np

        try:
            instances = self._decode(body).instances
        except self._errors:
            return None
        if not 0 < len(instances) <= MAX_ROWS:
            return None
        values = [self._values(row) for row in instances]
        omitted = sum(row.count(self._unset) for row in values)
        # One colon for each key. A repeated key, of which the decoder takes the last, has a colon too many.
        if body.count(b":") != 1 + len(values) * self._features - omitted:
            return None
        if omitted:
            if any(row.count(self._unset) == self._features for row in values):
                return None
            values = [[None if value is self._unset else value for value in row] for row in values]
        return np.array(values, dtype=np.float64)  # all finite: the decoder refuses a number such as 1e999


def request_type(features: Sequence[str]) -> Any:
    """The structure of a request for these features, with the limits of each."""
    import msgspec

    limits = feature_limits(tuple(features)) or [None] * len(features)
    fields = {f"feature_{number}": name for number, name in enumerate(features)}
    row = msgspec.defstruct(
        "FeatureRow",
        [(field, _value_type(limit), msgspec.UNSET) for field, limit in zip(fields, limits, strict=True)],
        rename=fields,
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.defstruct("FeatureRows", [("instances", list[row])], forbid_unknown_fields=True)


def _value_type(limit: FeatureLimit | None) -> Any:
    import msgspec

    number: Any = float
    if limit is not None:
        described = f"{limit.limit.words} ({limit.source})"
        least, most, _ = limit.limit
        number = Annotated[float, msgspec.Meta(ge=least - SLACK, le=most + SLACK, description=described)]
    return number | None | msgspec.UnsetType
