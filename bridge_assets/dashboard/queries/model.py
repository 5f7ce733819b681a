"""Model versions and their evaluations beside the baselines, and how predictions compare with later outcomes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge_assets.dashboard.queries.tables import MissingTableError, Row, Tables
from bridge_assets.registry.model_version import LATEST

#: Features in the list of what the model relies on.
MAX_FEATURES = 12


def model_versions(models: Path) -> list[str]:
    """The names of the versions with an evaluation, the latest one first.

    Raises
    ------
    MissingTableError
        If there is none.
    """
    found = sorted(models.glob("*/evaluation.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    names = [path.parent.name for path in found]
    if not names:
        raise _missing(models, "no model has been evaluated yet", "The folder of the models has no evaluation")
    try:
        latest = json.loads((models / LATEST).read_text(encoding="utf-8")).get("version")
    except (OSError, ValueError):
        latest = None
    return sorted(names, key=lambda name: name != latest)


def evaluation_of(models: Path, version: str) -> Row:
    """The evaluation of a version, as `bridge_model` wrote it. Raises MissingTableError if it cannot be read."""
    path = models / version / "evaluation.json"
    try:
        evaluation = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _missing(path, f"the evaluation of model {version} cannot be read", str(error)) from error
    if not isinstance(evaluation, dict) or "scores" not in evaluation:
        raise _missing(path, f"the evaluation of model {version} has no scores", "It was written by another version")
    return evaluation


def important_features(evaluation: Row) -> list[tuple[str, float, float]]:
    """Feature, loss of AUC when it is permuted, and the spread of that loss; the largest first."""
    features = (evaluation.get("importance") or {}).get("features") or {}
    key = next(iter(next(iter(features.values()), {})), "")
    rows = [(name, values[key], values.get("std") or 0.0) for name, values in features.items() if values.get(key)]
    return sorted(rows, key=lambda row: -row[1])[:MAX_FEATURES]


def realised(tables: Tables) -> list[Row]:
    """The rows of realised_quality, ascending by survey year; none if it does not exist."""
    try:
        return tables.rows("select * from {realised_quality} order by survey_year, model_version")
    except MissingTableError:
        return []


@dataclass(frozen=True, slots=True)
class CalibrationChart:
    """Geometry of the calibration chart: a square of 300 by 300 with both axes from 0 to `top`."""

    top: float
    points: list[tuple[float, float, float, float, str]]
    ticks: list[tuple[float, str]]


def calibration_chart(evaluation: Row) -> CalibrationChart | None:
    """Mean probability against the share that fell, with its 95 % interval, in groups of equally many inspections."""
    bins = (evaluation.get("calibration") or {}).get("bins") or []
    if not bins:
        return None
    highest = max(max(each["expected"], each["observed_high"] or 0.0) for each in bins)
    top = next(limit for limit in (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0) if highest <= limit or limit == 1.0)

    def at(value: float) -> float:
        return round(value / top * 300, 1)

    points = [
        (
            at(each["expected"]),
            300 - at(each["observed"]),
            300 - at(min(each["observed_high"], top)),
            300 - at(each["observed_low"]),
            f"expected {each['expected']:.1%}, observed {each['observed']:.1%} of {each['inspections']:,}",
        )
        for each in bins
    ]
    return CalibrationChart(top, points, [(at(top * i / 4), f"{top * i * 25:.0f} %") for i in range(5)])


def _missing(path: Path, what: str, why: str) -> MissingTableError:
    return MissingTableError(what, where=path, why=why, do="materialise bridge_model", stage="bridge_model")


def plain_scores(evaluation: Row) -> dict[str, Any]:
    """The scores of a model whose metrics are not those of a probability: names of the metrics, and a row each."""
    names = sorted({name for values in evaluation["scores"].values() for name in values})
    return {"names": names, "rows": [(key, values) for key, values in evaluation["scores"].items()]}
