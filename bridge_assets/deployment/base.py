"""What a deployment is, on any target.

A version is packaged (`package`), put beside what runs, and sent a canary: a fixed batch, the probe, must come back
equal to the artifact's own answers. Only then does the traffic move, and the version before stays to go back to. On any
failure what ran goes on running; doing it again after a kill at any point ends in the same state.

Belongs here: the words every target shares. Does not belong here: what only one target does (`local` and its siblings).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bridge_assets.storage import write_text

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.models.predict import OnnxPredictor

#: Most a canary's probability may differ from the artifact's own answer. Probabilities are float32 sums over some
#: hundred trees; another order of summation (threads, another processor) moves them by about 1e-7, another model by far
#: more.
CANARY_TOLERANCE = 1e-6


class DeploymentError(RuntimeError):
    """A deployment did not happen, or what is deployed cannot be used."""

    def __init__(self, what: str, *, where: Path | str, why: str, do: str) -> None:
        self.what, self.where, self.why, self.do = what, str(where), why, do
        super().__init__(f"{where}: {what}. {why}. What to do: {do}.")


class CanaryMismatch(DeploymentError):
    """An endpoint does not answer the probe as the artifact does."""


@dataclass(frozen=True)
class CanaryReport:
    """A canary that came back right.

    Attributes
    ----------
    rows : int
        Rows sent.
    largest_difference : float
        From the artifact's own answers, in probability.
    """

    rows: int
    largest_difference: float


@dataclass(frozen=True)
class Deployment:
    """What stands after a deployment or a rollback.

    Attributes
    ----------
    target : str
        Kind of endpoint: `local`.
    version : str
        The model version that answers now.
    address : str
        Where it answers: a folder or a URL.
    previous : str or None
        The version that a rollback would go to.
    canary : CanaryReport
    removed : tuple of str
        What was cleaned away: versions beyond those kept, leftovers of killed runs.
    """

    target: str
    version: str
    address: str
    previous: str | None
    canary: CanaryReport
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """The canary's rows and the answers they must get.

    Attributes
    ----------
    features : tuple of str
        Names, in the order of the model's input.
    rows : tuple of tuple of float
        On the model's scale.
    answers : tuple of float
        Probability of a fall, one a row: what the artifact itself said when it was exported.

    Raises
    ------
    ValueError
        If there are no rows, shapes do not fit, or a number is not finite.
    """

    features: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]
    answers: tuple[float, ...]

    def __post_init__(self) -> None:
        import numpy as np

        if not self.rows or len(self.rows) != len(self.answers):
            raise ValueError(f"a probe needs rows and one answer a row, got {len(self.rows)} and {len(self.answers)}")
        if any(len(row) != len(self.features) for row in self.rows):
            raise ValueError(f"every row of a probe needs {len(self.features)} numbers, one a feature")
        if not (np.isfinite(self.rows).all() and np.isfinite(self.answers).all()):
            raise ValueError("a probe with a number that is not finite compares equal to nothing")

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
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(tuple(values["features"]), tuple(tuple(row) for row in values["rows"]), tuple(values["answers"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeploymentError(
                "the probe cannot be read", where=path, why=in_one_line(error), do="materialise onnx_model again"
            ) from error


def write_probe(predictor: OnnxPredictor, rows: np.ndarray, path: Path) -> Path:
    """Ask the artifact itself about some rows and keep what it says as the probe.

    Parameters
    ----------
    predictor : OnnxPredictor
        The artifact as exported.
    rows : np.ndarray, shape (n, f)
        On the model's scale; a few hundred are enough.
    path : Path
        Where `probe.json` is written, atomically.

    Raises
    ------
    ValueError
        If there are no rows, or a row or an answer is not finite.
    """
    import numpy as np

    rows = np.asarray(rows, dtype=np.float32)
    answers = predictor.predict_proba(rows)
    # float() of a float32 is exact, and JSON keeps a float to the last bit.
    probe = Probe(tuple(predictor.features), tuple(map(tuple, rows.tolist())), tuple(answers.tolist()))
    return probe.save(path)


def canary(predict: Callable[[np.ndarray], np.ndarray], probe: Probe, where: Path | str) -> CanaryReport:
    """Send the probe to an endpoint and compare what comes back.

    Parameters
    ----------
    predict : callable
        Rows of shape (n, f), float32 -> probabilities of shape (n,).
    probe : Probe
    where : Path or str
        The endpoint, for the message.

    Raises
    ------
    CanaryMismatch
        If the shape is another, an answer is not a number, or one differs by more than `CANARY_TOLERANCE`.
    """
    import numpy as np

    expected = np.asarray(probe.answers)
    answers = np.asarray(predict(np.asarray(probe.rows, dtype=np.float32)), dtype=np.float64)
    do = "materialise onnx_model again, so that model and probe come from one export, and deploy it"
    if answers.shape != expected.shape:
        why = f"The probe has {len(expected)} rows, the answer has the shape {answers.shape}"
        raise CanaryMismatch("the canary did not come back whole", where=where, why=why, do=do)
    differences = np.abs(answers - expected)
    wrong = ~(differences <= CANARY_TOLERANCE)  # not `>`: an answer that is not a number is wrong too
    if wrong.any():
        first = int(wrong.argmax())
        why = (
            f"{int(wrong.sum())} of {len(expected)} answers are not the artifact's own; row {first}: "
            f"{answers[first]:.6g} instead of {expected[first]:.6g} (tolerance {CANARY_TOLERANCE:g})"
        )
        raise CanaryMismatch("the canary came back wrong", where=where, why=why, do=do)
    return CanaryReport(rows=len(expected), largest_difference=float(differences.max()))


def in_one_line(error: Exception) -> str:
    """An error's class and message, for the `why` of another."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
