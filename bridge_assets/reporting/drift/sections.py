"""Computes the figures and sentences of each section of the drift page, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from bridge_assets.drift import limits
from bridge_assets.drift.numbers import ALL_STATES, FEATURE, PREDICTION
from bridge_assets.drift.recoding import FIRST_SNBI_YEAR
from bridge_assets.nbi.coding_guide.codes import codes_of
from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME
from bridge_assets.reporting.drift.charts import draw_distribution
from bridge_assets.reporting.drift.wording import (
    MEASURE_MEANINGS,
    MEASURE_NAMES,
    describe_distribution,
    describe_schema_change,
    measure_value,
)
from bridge_assets.reporting.feature_text import feature_name, feature_unit
from bridge_assets.reporting.wording import state

if TYPE_CHECKING:
    from bridge_assets.drift.summary import DriftSummary
    from bridge_assets.reporting.drift.distributions import CodeShare, Distribution

Row: TypeAlias = dict[str, Any]

#: Codes that are listed for an item; the rest are one row.
MAX_CODES = 12

#: Asset -> contents. The small print of each section names one of these.
SOURCES = {
    "drift_report": "Every figure on this page, one per row: feature, state, measure, value, threshold",
    "bridge_features": "The features of each bridge and survey year",
    "bridge_predictions": "The predictions of the served model",
    "raw_bridges": "The records, with the codes as published",
}


def overview(summary: DriftSummary) -> Row:
    """The figures at the top."""
    drifted = [row for row in summary.drifted_features if not row["cause"]]
    distance = summary.predictions.get(limits.KS)
    recoded_states = sorted({row["state"] for rows in summary.recoded.values() for row in rows})
    compared = {row["feature"] for row in summary.rows if row["kind"] == FEATURE}
    beyond = [row for row in summary.predictions.values() if row["drifted"]]
    errors = [row for row in beyond if abs(row["value"]) > row["error_threshold"]]
    return {
        "features": len(compared),
        "drifted": len(drifted),
        "by_recoding": len(summary.drifted_features) - len(drifted),
        "in_states": len(summary.drifted_in_states),
        "distance": None if distance is None else distance["value"],
        "limit": None if distance is None else distance["threshold"],
        "verdict": "far from the reference years" if errors else "moved" if beyond else "as in the reference years",
        "is_alarm": bool(errors),
        "skipped": summary.predictions_skipped,
        "recoded_states": [state(code) for code in recoded_states],
        "recoded_items": len(summary.recoded),
        "schema_changes": len(summary.schema_changes),
    }


def predictions(summary: DriftSummary, found: Distribution | None) -> Row:
    """The distributions of the predictions, and every measure with its limits."""
    return {
        "skipped": summary.predictions_skipped,
        "column": next((row["feature"] for row in summary.predictions.values()), ""),
        "chart": draw_distribution(found, "Predictions of all bridges") if found and found.bins else None,
        "sentences": describe_distribution(found) if found else [],
        "measures": [
            {
                **_measure(row),
                "error_limit": measure_value(row["measure"], row["error_threshold"], row["feature"]),
                "is_error": abs(row["value"] or 0.0) > row["error_threshold"],
            }
            for row in summary.predictions.values()
        ],
    }


def drifted(summary: DriftSummary, distributions: Mapping[tuple[str, str], Distribution]) -> list[Row]:
    """One entry for each feature that drifted, in all states together or in one state."""
    by_key: dict[tuple[str, str], list[Row]] = {}
    for row in summary.rows:
        if row["kind"] == FEATURE:
            by_key.setdefault((row["feature"], row["state"]), []).append(row)
    found = []
    for worst in [*summary.drifted_features, *summary.drifted_in_states]:
        key = worst["feature"], worst["state"]
        distribution = distributions.get(key)
        where = [row for row in summary.worst_in_states if row["feature"] == key[0]] if key[1] == ALL_STATES else []
        title = feature_name(key[0], with_unit=True)
        title = title[0].upper() + title[1:]
        found.append(
            {
                "feature": key[0],
                "title": title,
                "place": "" if key[1] == ALL_STATES else state(key[1]),
                "chart": draw_distribution(distribution, title) if distribution and distribution.bins else None,
                "sentences": describe_distribution(distribution) if distribution else [],
                "measures": [_measure(row) for row in by_key[key]],
                "unit": feature_unit(key[0]),
                "where": [{"state": state(row["state"]), **_measure(row)} for row in where],
                "recoded": [
                    state(code) for code in worst["cause"].removeprefix("recoded: ").split(", ") if worst["cause"]
                ],
            }
        )
    return found


def recoded(summary: DriftSummary, codes: Mapping[tuple[str, str], Sequence[CodeShare]]) -> list[Row]:
    """One entry for each item that states recoded."""
    guide = "the transition to the SNBI" if summary.survey_year >= FIRST_SNBI_YEAR else "a change of the coding guide"
    return [
        {
            **_item(item),
            "states": [
                {
                    "state": state(row["state"]),
                    "measure": MEASURE_NAMES[row["measure"]],
                    "value": row["value"],
                    "changes": row["cause"].removeprefix("recoded: "),
                }
                for row in rows
            ],
            "nationwide": guide if item in summary.recoded_nationwide else "",
            "shown_state": state(rows[0]["state"]),
            "codes": _code_rows(item, codes.get((item, rows[0]["state"]), ())),
        }
        for item, rows in summary.recoded.items()
    ]


def moved_codes(summary: DriftSummary, codes: Mapping[tuple[str, str], Sequence[CodeShare]]) -> list[Row]:
    """One entry for each item whose codes differ from the reference years, though no state recoded it."""
    return [
        {
            **_item(row["feature"]),
            **_measure(row),
            "codes": _code_rows(row["feature"], codes.get((row["feature"], ALL_STATES), ())),
        }
        for row in summary.drifted_codes
        if row["feature"] not in summary.recoded
    ]


def schema_changes(summary: DriftSummary) -> list[str]:
    """A sentence for each change of the columns."""
    return [describe_schema_change(row) for row in summary.schema_changes]


def all_features(summary: DriftSummary) -> list[Row]:
    """Every feature, and the prediction, in all states together: distance, its limit, means and missing values."""
    by_feature: dict[str, dict[str, Row]] = {}
    for row in summary.rows:
        if row["kind"] in (FEATURE, PREDICTION) and row["state"] == ALL_STATES and row["threshold"] is not None:
            by_feature.setdefault(row["feature"], {})[row["measure"]] = row
    nothing = dict.fromkeys(("value", "threshold", "reference_mean", "year_mean"))
    rows = []
    for feature, by_measure in by_feature.items():
        distance, missing = by_measure.get(limits.KS, nothing), by_measure.get(limits.MISSING, nothing)
        rows.append(
            {
                "feature": feature,
                "drifted": any(row["drifted"] for row in by_measure.values()),
                "distance": distance["value"],
                "limit": distance["threshold"],
                "level": min((distance["value"] or 0.0) / (distance["threshold"] or 1.0), 1.0),
                "reference_mean": distance["reference_mean"],
                "year_mean": distance["year_mean"],
                "missing": missing["year_mean"],
            }
        )
    return sorted(rows, key=lambda row: (not row["drifted"], -row["level"], row["feature"]))


def _measure(row: Row) -> Row:
    return {
        "name": MEASURE_NAMES[row["measure"]],
        "meaning": MEASURE_MEANINGS[row["measure"]],
        "value": measure_value(row["measure"], row["value"], row["feature"]),
        "limit": measure_value(row["measure"], row["threshold"], row["feature"]),
        "drifted": row["drifted"],
    }


def _item(name: str) -> Row:
    item = ITEMS_BY_NAME.get(name)
    return {"item": name, "number": item.number if item else "", "meaning": item.meaning if item else ""}


def _code_rows(item: str, codes: Sequence[CodeShare]) -> list[Row]:
    """The codes with their meaning and shares; the rarest as one row."""
    meanings = {code.lstrip("0") or "0": text for code, text in codes_of(item).items()}
    rows = [
        {"code": each.code, "meaning": meanings.get(each.code, ""), "before": each.before, "year": each.year}
        for each in codes[:MAX_CODES]
    ]
    if rest := codes[MAX_CODES:]:
        before, year = sum(each.before for each in rest), sum(each.year for each in rest)
        rows.append({"code": "", "meaning": f"{len(rest)} other codes", "before": before, "year": year})
    return rows
