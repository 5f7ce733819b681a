"""The features of raw NBI records: computed with the code of batch scoring, history and peers from the tables.

The fields of a record are the latest inspection of its structure. If its date (item 90) is later than the last
inspection in the tables, the history goes on by this one; otherwise the record carries the last one forward.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from bridge_assets.serve.bridges.rows import BridgeRows, known_of, why_unknown_key
from bridge_assets.serve.requests.request_rows import RequestError

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.features.peers import PeerRates
    from bridge_assets.data.records.single_record import SingleRecord
    from bridge_assets.models.survival.model import DeteriorationModel
    from bridge_assets.runtime.structure_tables import StructureTables


@dataclass(frozen=True)
class _YearOfRecords:
    """Records of one survey year.

    Attributes
    ----------
    numbers : list of int
        Their numbers in the request.
    features : pl.DataFrame
        As `build.features_of_records` returns them.
    known, assumed, flags : list
        As in `BridgeRows`.
    """

    numbers: list[int]
    features: pl.DataFrame
    known: list[dict[str, Any]]
    assumed: list[list[str]]
    flags: list[list[str]]


@dataclass(frozen=True)
class RecordRows:
    """Computes the rows of raw records with the tables of one package."""

    tables: StructureTables

    def rows(self, values: Sequence[Mapping[str, Any]]) -> BridgeRows:
        """Rows of raw records.

        Raises
        ------
        RequestError
            422, with the number of the record, for anything that a record cannot have.
        """
        import numpy as np
        import polars as pl

        records = [self._parse(number, each) for number, each in enumerate(values)]
        today = dt.date.today().year
        years = [self._survey_year(number, record, today) for number, record in enumerate(records)]
        parts = [
            self._year(records, [number for number, each in enumerate(years) if each == year], year)
            for year in sorted(set(years))
        ]
        features = pl.concat([part.features for part in parts])
        order = np.argsort([number for part in parts for number in part.numbers])
        in_order = features[order]

        def sorted_by_number(lists: list[list[Any]]) -> list[Any]:
            merged = [each for part in lists for each in part]
            return [merged[place] for place in order]

        return BridgeRows(
            in_order.select(self.tables.info["features"]).to_numpy(),
            [record.structure_key for record in records],
            sorted_by_number([part.known for part in parts]),
            sorted_by_number([part.assumed for part in parts]),
            self._years_until_poor(in_order),
            sorted_by_number([part.flags for part in parts]),
        )

    @cached_property
    def _rates(self) -> PeerRates:
        from bridge_assets.data.features.peers import PeerRates

        return PeerRates.from_json(self.tables.info["peers"])

    @cached_property
    def _deterioration_model(self) -> DeteriorationModel | None:
        from bridge_assets.models.survival.model import DeteriorationModel

        path = self.tables.deterioration_file
        return None if path is None else DeteriorationModel.load(path)

    def _parse(self, number: int, values: Mapping[str, Any]) -> SingleRecord:
        from bridge_assets.data.records.single_record import RecordError, parse_record

        try:
            return parse_record(values)
        except RecordError as error:
            raise RequestError(f"record {number}: {error}", 422) from None

    def _survey_year(self, number: int, record: SingleRecord, today: int) -> int:
        packed = self.tables.survey_year
        if record.survey_year is None:
            inspected = record.inspection_year(today)
            return inspected if inspected is not None and packed < inspected <= today else packed
        if not packed <= record.survey_year <= max(packed, today):
            raise RequestError(
                f"record {number}: survey_year: {record.survey_year} is not between {packed}, the last survey year of "
                f"the tables that were packed with this version, and {max(packed, today)}; leave it out for {packed}",
                422,
            )
        return record.survey_year

    def _year(self, records: Sequence[SingleRecord], numbers: list[int], survey_year: int) -> _YearOfRecords:
        """The rows of the records of one survey year."""
        import polars as pl

        from bridge_assets.data.features.build import features_of_records, input_columns
        from bridge_assets.data.features.next_inspection import STATE_COLUMNS, history_after
        from bridge_assets.data.records.single_record import RecordError, record_table

        chosen = [records[number] for number in numbers]
        try:
            table = record_table(chosen, survey_year, _items())
        except RecordError as error:
            raise RequestError(f"record {numbers[error.record or 0]}: {error}", 422) from None
        keys = [record.structure_key for record in chosen]
        found = [None if key is None else self.tables.find(key) for key in keys]
        rows = pl.Series([each and each.row for each in found], dtype=pl.UInt32)
        states = self.tables.table.select(pl.col(list(STATE_COLUMNS)).gather(rows))
        history = history_after(table, states)
        features = features_of_records(table.select(input_columns()), history.drop("is_new_inspection"), self._rates)
        dates, inspections = states["inspection_date"].to_list(), states["inspection_number"].to_list()
        return _YearOfRecords(
            numbers,
            features,
            [known_of(self.tables, *each) if each[0] else {} for each in zip(dates, inspections, strict=True)],
            [
                self._assumed(record, survey_year, date, row)
                for record, date, row in zip(chosen, dates, table.rows(named=True), strict=True)
            ],
            _flags(table, chosen, survey_year),
        )

    def _assumed(
        self, record: SingleRecord, survey_year: int, last: dt.date | None, row: Mapping[str, Any]
    ) -> list[str]:
        """What was assumed about a record, one sentence each."""
        assumed, packed, key = [], self.tables.survey_year, record.structure_key
        if record.survey_year is None:
            which = "the last one of the tables" if survey_year == packed else "that of its inspection (item 90)"
            assumed.append(f"The survey year is {survey_year}, {which}")
        if key is None:
            assumed.append("It is a new bridge without earlier inspections: it has no structure number (item 8)")
        elif self.tables.find(key) is None:
            assumed.append(f"It is a new bridge without earlier inspections: {why_unknown_key(self.tables, key)}")
        date = row["inspection_date"]
        if date is None:
            assumed.append("When it was inspected is not known: item 90 is blank")
        elif row["inspected_in_future"]:
            assumed.append(f"When it was inspected is not known: item 90, {date:%Y-%m}, is after the survey year")
        elif last is not None and date < last:
            assumed.append(f"Its history is that of the last inspection on file, {last:%Y-%m}, not of {date:%Y-%m}")
        if survey_year > packed:
            assumed.append(f"Similar bridges fell as often as known from the files up to {packed}")
        return assumed

    def _years_until_poor(self, features: pl.DataFrame) -> list[tuple[float | None, ...]]:
        """Expected years, low and high; empty without a deterioration model."""
        import polars as pl

        from bridge_assets.models.survival.model import years_until_poor

        model, settings = self._deterioration_model, self.tables.info["years_until_poor"]
        if model is None:
            return []
        poor = model.poor_probability_by_year(features, settings["horizon_years"])
        found = years_until_poor(poor, settings["interval"])
        columns = ("expected_years", "low_years", "high_years")
        return pl.DataFrame([pl.Series(name, found[name], dtype=pl.Float32).fill_nan(None) for name in columns]).rows()


@cache
def _items() -> frozenset[str]:
    """The items that features and histories are computed from."""
    from bridge_assets.data.features.definitions import record_columns
    from bridge_assets.data.features.next_inspection import EVIDENCE_ITEMS, YEAR_ITEMS

    return frozenset((*record_columns(), *YEAR_ITEMS, *EVIDENCE_ITEMS))


def _flags(table: pl.DataFrame, records: Sequence[SingleRecord], survey_year: int) -> list[list[str]]:
    """Contradictions in each record, in the words of `nbi.flag_rules`: only between items that it has."""
    import polars as pl

    from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME
    from bridge_assets.nbi.flag_rules import FLAGS
    from bridge_assets.nbi.flags import SEPARATOR, flag_records

    by_items: dict[frozenset[str], list[int]] = {}
    for number, record in enumerate(records):
        by_items.setdefault(frozenset(record.items), []).append(number)
    flags: list[list[str]] = [[] for _ in records]
    for items, numbers in by_items.items():
        absent = ITEMS_BY_NAME.keys() - items
        # The codes have been checked already (`single_record`): an empty table has none to check.
        found = flag_records(table[numbers], survey_year, pl.DataFrame(), absent)
        for number, text in zip(numbers, found, strict=True):
            flags[number] = [FLAGS[name].meaning for name in text.split(SEPARATOR)] if text else []
    return flags
