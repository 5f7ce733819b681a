"""The canary: a fixed batch of rows for which an endpoint must give the same predictions as the exported artifact.

The rows are in natural units, with some values missing: the predictions are right only if features, normalization and
model belong to the same version.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.errors import CanaryMismatch, DeploymentError, error_summary
from bridge_assets.storage import write_text

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.data.features.normalization import Normalization

#: Largest difference allowed between a canary's prediction and the artifact's. Probabilities are float32 sums over some
#: hundred trees; another order of summation (threads, another processor) changes them by about 1e-7, another model by
#: far more.
CANARY_TOLERANCE = 1e-6

#: In every eighth row of a probe, one value is missing, each feature in turn: an endpoint must fill it like training
#: did.
_MISSING_VALUE_STEP = 8


@dataclass(frozen=True)
class CanaryReport:
    """Result of a successful canary.

    Attributes
    ----------
    rows : int
        Number of rows sent.
    largest_difference : float
        Largest difference from the artifact's predictions: in probability, or in points.
    """

    rows: int
    largest_difference: float


@dataclass(frozen=True)
class Probe:
    """The canary's rows and the expected predictions.

    Attributes
    ----------
    features : tuple of str
        Names, in the order of the model's input.
    rows : tuple of tuple of (float or None)
        In natural units, as in bridge_features; None = missing.
    answers : tuple of float
        The prediction for each row, a probability of a fall or an expected change, computed by the artifact when it was
        exported.

    Raises
    ------
    ValueError
        If there are no rows, the shapes do not match, or a number is not finite.
    """

    features: tuple[str, ...]
    rows: tuple[tuple[float | None, ...], ...]
    answers: tuple[float, ...]

    def __post_init__(self) -> None:
        import numpy as np

        if not self.rows or len(self.rows) != len(self.answers):
            raise ValueError(
                f"a probe needs rows with one answer each, found {len(self.rows)} rows and {len(self.answers)} answers"
            )
        if any(len(row) != len(self.features) for row in self.rows):
            raise ValueError(f"every row of a probe needs {len(self.features)} values, one per feature")
        numbers = [value for row in self.rows for value in row if value is not None]
        if not (np.isfinite(numbers).all() and np.isfinite(self.answers).all()):
            raise ValueError("a probe must not contain numbers that are not finite")

    def table(self) -> pl.DataFrame:
        """The rows as a table of features, Float32; missing values are null."""
        import polars as pl

        return pl.DataFrame(list(self.rows), schema=dict.fromkeys(self.features, pl.Float32), orient="row")

    def request_rows(self) -> list[dict[str, float | None]]:
        """The rows as in a request: one dict per row, feature -> value; missing values are None."""
        return [dict(zip(self.features, row, strict=True)) for row in self.rows]

    def save(self, path: Path) -> Path:
        return write_text(json.dumps(asdict(self)) + "\n", path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a probe.

        Raises
        ------
        DeploymentError
            If it is missing or not what `save` wrote.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error
        return cls.from_json(text, path)

    @classmethod
    def from_json(cls, text: str, where: Path) -> Self:
        """Parse what `save` wrote.

        Raises
        ------
        DeploymentError
            If the text is anything else; the message contains `where` it was read from.
        """
        try:
            values = json.loads(text)
            return cls(tuple(values["features"]), tuple(tuple(row) for row in values["rows"]), tuple(values["answers"]))
        except (ValueError, KeyError, TypeError) as error:
            raise _unreadable(where, error) from error


def _unreadable(path: Path, error: Exception) -> DeploymentError:
    return DeploymentError(
        "the probe cannot be read",
        where=path,
        why=error_summary(error),
        do="export the model version again",
        stage="onnx_model",
    )


def write_probe(
    predict: Callable[[Any], np.ndarray], normalization: Normalization, rows: np.ndarray, path: Path
) -> Path:
    """Compute the exported artifact's predictions for some rows, and save both as the probe.

    Parameters
    ----------
    predict : callable
        Prediction function of the exported artifact: rows of shape (n, f) on the model's scale -> shape (n,).
    normalization : Normalization
        Of the same model version.
    rows : np.ndarray, shape (n, f)
        On the model's scale; a few hundred are enough. They are converted back to natural units, and one value is
        removed in every eighth row.
    path : Path
        Path of `probe.json`, which is written atomically.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError
        If there are no rows, or a row or a prediction is not finite.
    """
    import numpy as np

    unscaled_rows: list[list[float | None]] = normalization.inverse_transform(rows).tolist()
    for number, row in enumerate(unscaled_rows[::_MISSING_VALUE_STEP]):
        row[number % len(row)] = None
    frozen = tuple(map(tuple, unscaled_rows))
    features = tuple(normalization.features)
    probe_rows = Probe(features, frozen, (0.0,) * len(frozen)).table()
    answers = predict(normalization.transform(probe_rows).select(features).to_numpy())
    # float() of a float32 is exact, and JSON keeps a float to the last bit.
    return Probe(features, frozen, tuple(np.asarray(answers).tolist())).save(path)


def compare_answers(answers: Sequence[float] | np.ndarray, probe: Probe, where: Path | str) -> CanaryReport:
    """Compare an endpoint's predictions for the probe with the expected ones.

    Parameters
    ----------
    answers : array of shape (n,)
        The endpoint's predictions for the probe's rows.
    probe : Probe
    where : Path or str
        The endpoint, for the message.

    Raises
    ------
    CanaryMismatch
        If the shape differs, a prediction is not a number, or one differs by more than `CANARY_TOLERANCE`.
    """
    import numpy as np

    expected = np.asarray(probe.answers)
    found = np.asarray(answers, dtype=np.float64)
    do = "export the model version again, so that model and probe come from one export, and deploy it"
    if found.shape != expected.shape:
        why = f"The probe has {len(expected)} rows, the answer has the shape {found.shape}"
        raise CanaryMismatch(
            "the answer to the canary has the wrong shape", where=where, why=why, do=do, stage="onnx_model"
        )
    differences = np.abs(found - expected)
    wrong = ~(differences <= CANARY_TOLERANCE)  # not `>`: NaN is wrong too
    if wrong.any():
        first = int(wrong.argmax())
        why = (
            f"{int(wrong.sum())} of {len(expected)} predictions differ from the exported model's; row {first}: "
            f"{found[first]:.6g} instead of {expected[first]:.6g} (tolerance {CANARY_TOLERANCE:g})"
        )
        raise CanaryMismatch("the answer to the canary is wrong", where=where, why=why, do=do, stage="onnx_model")
    return CanaryReport(rows=len(expected), largest_difference=float(differences.max()))
