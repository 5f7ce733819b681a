"""What a drift_report says: the features that drifted, the predictions, the states that recoded, the schema.

Belongs here: reading the table, for the checks, the metadata, the reports and the page. Does not belong here: making it
(`report`), and sentences (`orchestration.checks.drift`, `reporting.drift`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bridge_assets.drift import limits
from bridge_assets.drift.codes import CODE
from bridge_assets.drift.numbers import ALL_STATES, FEATURE, PREDICTION
from bridge_assets.drift.recoding import CHANGED, MOVED, NATIONWIDE_SHARE
from bridge_assets.drift.schema import CHANGES, SCHEMA

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake

Row = dict[str, Any]

TABLE_NAME = "drift_report"


def readable_years(lake: Lake) -> list[int]:
    """The survey years with a drift_report in the present form: one row for each feature, state and measure."""
    return [
        year
        for year in lake.available_years(TABLE_NAME)
        if "measure" in lake.scan_year(TABLE_NAME, year).collect_schema()
    ]


@dataclass(frozen=True)
class DriftSummary:
    """The drift_report of one survey year.

    Attributes
    ----------
    table : pl.DataFrame
        `report.report_schema`.
    """

    table: pl.DataFrame

    @property
    def survey_year(self) -> int:
        return int(self.table["survey_year"][0])

    @property
    def period(self) -> str:
        """See `Periods.of`."""
        return str(self.table["period"][0])

    @property
    def model_version(self) -> str:
        return str(self.table["model_version"][0])

    @cached_property
    def drifted_features(self) -> list[Row]:
        """The features that drifted in all states together: for each the row that is furthest beyond its threshold,
        the largest excess first.
        """
        return self._worst(FEATURE, national=True)

    @cached_property
    def worst_in_states(self) -> list[Row]:
        """The same for each feature and state that drifted there."""
        return self._worst(FEATURE, national=False)

    @cached_property
    def drifted_in_states(self) -> list[Row]:
        """Those of features that did not drift in all states together."""
        national = {row["feature"] for row in self.drifted_features}
        return [row for row in self.worst_in_states if row["feature"] not in national]

    @cached_property
    def drifted_codes(self) -> list[Row]:
        """The coded items whose shares differ from the reference in all states together, largest excess first."""
        return self._worst(CODE, national=True)

    @cached_property
    def predictions(self) -> dict[str, Row]:
        """Measure -> row of the predictions of all states together; empty if they were not compared."""
        rows = self._rows(PREDICTION, national=True)
        return {row["measure"]: row for row in rows} if not self.predictions_skipped else {}

    @cached_property
    def predictions_skipped(self) -> str:
        """Why the predictions were not compared; empty if they were."""
        rows = self._rows(PREDICTION, national=True)
        return next((row["cause"] for row in rows if row["threshold"] is None), "")

    @cached_property
    def recoded(self) -> dict[str, list[Row]]:
        """Item -> one row for each state that recoded it, by state: the measure that is furthest beyond its limit."""
        found: dict[str, dict[str, Row]] = {}
        for row in sorted(self._rows(CODE, national=False), key=_excess):
            if row["measure"] in (MOVED, CHANGED) and row["drifted"]:
                found.setdefault(row["feature"], {})[row["state"]] = row
        return {item: [by_state[state] for state in sorted(by_state)] for item, by_state in sorted(found.items())}

    @cached_property
    def recoded_nationwide(self) -> list[str]:
        """The items that at least half of the compared states, and more than one, recoded in this year."""
        states = {row["state"] for row in self._rows(CODE, national=False)}
        return [
            item for item, rows in self.recoded.items() if len(rows) > 1 and len(rows) >= NATIONWIDE_SHARE * len(states)
        ]

    @cached_property
    def schema_changes(self) -> list[Row]:
        """The changes of columns, types, values and codes."""
        return [row for row in self._rows(SCHEMA, national=True) if row["measure"] != CHANGES and row["drifted"]]

    def largest(self, measure: str, kind: str = FEATURE) -> float:
        """The largest value of a measure in all states together; 0 without one."""
        rows = self._rows(kind, national=True)
        return max(
            (row["value"] for row in rows if row["measure"] == measure and row["value"] is not None), default=0.0
        )

    def figures(self) -> dict[str, int | float]:
        """Numbers that the UI plots over the survey years."""
        numbers: dict[str, int | float] = {
            "drifted": len(self.drifted_features),
            "drifted_in_states": len(self.drifted_in_states),
            "largest_distance": self.largest(limits.KS),
            "states_that_recoded": len({row["state"] for rows in self.recoded.values() for row in rows}),
            "items_recoded": len(self.recoded),
            "schema_changes": len(self.schema_changes),
        }
        if limits.KS in self.predictions:
            numbers["prediction_distance"] = self.predictions[limits.KS]["value"] or 0.0
            numbers["prediction_mean"] = self.predictions[limits.KS]["year_mean"] or 0.0
        return numbers

    @cached_property
    def rows(self) -> list[Row]:
        """Every row, by kind, feature, state and measure."""
        return self.table.sort("kind", "feature", "state", "measure").to_dicts()

    def _rows(self, kind: str, *, national: bool) -> list[Row]:
        return [row for row in self.rows if row["kind"] == kind and (row["state"] == ALL_STATES) is national]

    def _worst(self, kind: str, *, national: bool) -> list[Row]:
        worst: dict[tuple[str, str], Row] = {}
        for row in self._rows(kind, national=national):
            key = (row["feature"], row["state"])
            if row["drifted"] and row["measure"] not in (MOVED, CHANGED):
                worst[key] = max(worst.get(key, row), row, key=_excess)
        return sorted(worst.values(), key=lambda row: (-_excess(row), row["feature"], row["state"]))


def _excess(row: Row) -> float:
    """How many times its threshold a value is; a threshold of 0 is exceeded by everything."""
    return abs(row["value"] or 0.0) / row["threshold"] if row["threshold"] else float("inf")
