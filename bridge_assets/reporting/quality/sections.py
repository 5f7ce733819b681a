"""Computes the figures of each section of the data quality page, as plain values, from the summaries."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from bridge_assets.data.quality.jumps import MIN_YEARS, detect_jumps
from bridge_assets.data.quality.measures import ALL_STATES, ANY, DUPLICATE_RULES, REQUIRED_ITEMS
from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME
from bridge_assets.nbi.delimited.records import REJECTION_REASONS
from bridge_assets.nbi.flag_rules import FLAGS
from bridge_assets.reporting.html.strips import Sparkline, bar_sparkline, tinted_sparkline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import polars as pl

Row: TypeAlias = dict[str, Any]

#: Lines shown for each reason, and characters per line: a record of the widest layout has about 700.
MAX_LINES, MAX_LINE_CHARACTERS = 6, 900

#: The flags that have a row for all states in each year in which they were checked.
CHECKED_FLAGS = tuple(name for name, flag in FLAGS.items() if flag.expression)

#: Bridges listed for each flag.
MAX_BRIDGES = 10

#: States with fewer records come last: their shares mean little.
MIN_STATE_RECORDS = 100

#: Asset -> contents. The small print of each section names one of these.
SOURCES = {
    "data_quality": "Every count on this page, one per row: survey year, state, measure, name, records, of, share",
    "raw_bridges": "The records, with flags, unparsed numbers, and the file and line number of each",
    "rejected_records": "Rows that were not loaded, by survey year, with file, line number, reason and text",
    "rejects": "Rejected rows of all survey years in one warehouse table (dbt)",
    "duplicate_records": "The records that share a structure key in a survey year (dbt)",
    "structure_number_variants": "Structures whose number is written in several ways over the years (dbt)",
}


class QualitySummary:
    """Lookups into the summaries: national totals for all years, and the states in the latest year."""

    def __init__(self, summary: pl.DataFrame) -> None:
        import polars as pl

        self.summary = summary
        self.years: list[int] = sorted(summary["survey_year"].unique().to_list())
        self.latest = self.years[-1]
        national = summary.filter(pl.col("state") == ALL_STATES)
        self.national = {(row["measure"], row["name"], row["survey_year"]): row for row in national.to_dicts()}
        latest = summary.filter((pl.col("survey_year") == self.latest) & (pl.col("state") != ALL_STATES))
        self.states: dict[str, dict[tuple[str, str], Row]] = {}
        for row in latest.to_dicts():
            self.states.setdefault(row["state"], {})[row["measure"], row["name"]] = row

    @cached_property
    def names_by_measure(self) -> dict[str, list[str]]:
        """Measure -> names with records in any year, unordered."""
        found: dict[str, dict[str, None]] = {}
        for (measure, name, _), row in self.national.items():
            if row["records"]:
                found.setdefault(measure, {})[name] = None
        return {measure: list(names) for measure, names in found.items()}

    def records(self, measure: str, name: str, year: int | None = None) -> int:
        return self.national.get((measure, name, year or self.latest), {}).get("records", 0)

    def share(self, measure: str, name: str, year: int | None = None) -> float | None:
        """Share of records; None if the files of that year lack the item, or an item that the flag needs."""
        found = self.national.get((measure, name, year or self.latest))
        if found is not None:
            return found["share"]
        return None if measure == "missing" or (measure == "flag" and name in CHECKED_FLAGS) else 0.0

    def unchecked_flags(self) -> list[str]:
        """The flags that were not checked in the latest year, because its files lack an item."""
        return [name for name in CHECKED_FLAGS if ("flag", name, self.latest) not in self.national]

    def duplicates(self, year: int) -> int:
        """Records set aside because another record of the same structure counts."""
        return sum(
            self.records(measure, rule, year)
            for rule, (measure, _) in DUPLICATE_RULES.items()
            if measure == "duplicate"
        )

    def yearly_row(self, measure: str, name: str, draw: Callable[..., Sparkline]) -> Row:
        """A table row: records and share in the latest year, the sparkline over the years, and the peak year."""
        shares = [self.share(measure, name, year) for year in self.years]
        peak_year = max(self.years, key=lambda year: (self.share(measure, name, year) or 0.0, year))
        return {
            "name": name,
            "records": self.records(measure, name),
            "all_years": sum(self.records(measure, name, year) for year in self.years),
            "share": self.share(measure, name),
            "peak_share": self.share(measure, name, peak_year),
            "peak_year": peak_year,
            "strip": draw(self.years, shares),
        }


def overview(figures: QualitySummary) -> Row:
    """Whether every row is accounted for, and how many records have a flag."""
    rows = [
        {
            "survey_year": year,
            **{name: figures.records("rows", name, year) for name in ("read", "loaded", "rejected", "on_structure")},
            "flagged": figures.records("flag", ANY, year),
            "share_flagged": figures.share("flag", ANY, year),
            "unparsed": figures.records("unparsed", ANY, year),
            "duplicates": figures.duplicates(year),
        }
        for year in reversed(figures.years)
    ]
    totals = ("read", "loaded", "rejected", "on_structure", "flagged", "unparsed", "duplicates")
    return {
        "rows": rows,
        "latest": rows[0],
        "total": {name: sum(row[name] for row in rows) for name in totals},
        "unreconciled": [row["survey_year"] for row in rows if row["read"] != row["loaded"] + row["rejected"]],
        "states": sorted(figures.states),
    }


def jumped_shares(figures: QualitySummary) -> Row:
    """Shares that jumped in the latest survey year, compared with the median of earlier years."""
    found = detect_jumps(figures.summary, figures.latest).to_dicts()
    return {
        "rows": [{**row, "meaning": describe_count(row["measure"], row["name"])} for row in found],
        "comparable": len(figures.years) > MIN_YEARS,
        "min_years": MIN_YEARS,
    }


def rejected_lines(figures: QualitySummary, rejected: pl.DataFrame) -> list[Row]:
    """Rejected rows by reason, most frequent first, with the text of lines of the latest years."""
    import polars as pl

    rows = [
        figures.yearly_row("rejected", reason, bar_sparkline) for reason in figures.names_by_measure.get("rejected", [])
    ]
    for row in rows:
        row["meaning"] = REJECTION_REASONS.get(row["name"], "")
        lines = rejected.filter(pl.col("reason") == row["name"])
        lines = lines.sort("survey_year", "file", "line_number", descending=[True, False, False]).head(MAX_LINES)
        row["lines"] = [
            {
                **line,
                "text": (line["line"] or "")[:MAX_LINE_CHARACTERS],
                "omitted": max(0, len(line["line"] or "") - MAX_LINE_CHARACTERS),
            }
            for line in lines.to_dicts()
        ]
    return sorted(rows, key=lambda row: (-row["all_years"], row["name"]))


def flag_rows(figures: QualitySummary) -> list[Row]:
    """Flags with records in any year; the most frequent in the latest year first."""
    rows = [
        {
            **figures.yearly_row("flag", name, bar_sparkline),
            "meaning": FLAGS[name].meaning if name in FLAGS else "",
            "worst": worst_state(figures, "flag", name),
        }
        for name in figures.names_by_measure.get("flag", [])
        if name != ANY and ":" not in name
    ]
    return _sort_by_records(rows)


def unchecked_rows(figures: QualitySummary) -> list[Row]:
    """The flags that were not checked in the latest year, with the items that they need."""
    return [
        {"name": name, "items": [describe_item(item) for item in FLAGS[name].needs]}
        for name in figures.unchecked_flags()
    ]


def flagged_bridges(flagged: pl.DataFrame | None) -> Row:
    """The first records with each flag, the most frequent flag first."""
    import polars as pl

    if flagged is None or flagged.is_empty():
        return {"rows": [], "total": 0, "each": MAX_BRIDGES}
    counts = flagged.group_by("flag").agg(pl.len().alias("records"))
    first = flagged.with_columns(place=pl.int_range(pl.len()).over("flag")).filter(pl.col("place") < MAX_BRIDGES)
    rows = first.join(counts, on="flag").sort("records", "flag", "place", descending=[True, False, False])
    return {"rows": rows.to_dicts(), "total": flagged.height, "each": MAX_BRIDGES}


def flagged_file_links(files: Mapping[int, int]) -> list[Row]:
    """The files with every flagged record, latest year first."""
    from bridge_assets.data.quality.flagged import flagged_file_name

    return [
        {"survey_year": year, "name": flagged_file_name(year), "rows": rows}
        for year, rows in sorted(files.items(), reverse=True)
    ]


def unknown_code_rows(figures: QualitySummary) -> list[Row]:
    """Items with values outside their code lists in any year."""
    rows = []
    for name in figures.names_by_measure.get("flag", []):
        if ":" in name:
            item = name.partition(":")[2]
            rows.append(
                {
                    **figures.yearly_row("flag", name, bar_sparkline),
                    "item": item,
                    "meaning": describe_item(item),
                    "worst": worst_state(figures, "flag", name),
                }
            )
    return _sort_by_records(rows)


def missing_rows(figures: QualitySummary) -> Row:
    """Items with missing values: those that the guide requires, in the latest year or before, and the others."""
    incomplete = figures.names_by_measure.get("missing", [])

    def rows(items: Iterable[str]) -> list[Row]:
        return _sort_by_records(
            [
                {**figures.yearly_row("missing", item, tinted_sparkline), "meaning": describe_item(item)}
                for item in items
            ]
        )

    required_items = [name for name in REQUIRED_ITEMS if ("missing", name, figures.latest) in figures.national]
    required = rows(name for name in REQUIRED_ITEMS if name in incomplete)
    return {
        "required": [row for row in required if row["records"]],
        "earlier": [row for row in required if not row["records"]],
        "others": rows(name for name in incomplete if name not in REQUIRED_ITEMS),
        "total": len(required_items),
        "complete": sum(not figures.records("missing", name) for name in required_items),
    }


def unparsed_rows(figures: QualitySummary) -> list[Row]:
    """Numeric items with values that could not be parsed."""
    names = [name for name in figures.names_by_measure.get("unparsed", []) if name != ANY]
    return _sort_by_records(
        [{**figures.yearly_row("unparsed", name, bar_sparkline), "meaning": describe_item(name)} for name in names]
    )


def state_rows(figures: QualitySummary) -> list[Row]:
    """The states in the latest year, largest share of flagged records first."""
    rows = []
    for code, found in figures.states.items():
        loaded = found.get(("rows", "loaded"), {}).get("records", 0)
        flagged = found.get(("flag", ANY), {"records": 0, "share": 0.0})
        flags = [row for (measure, name), row in found.items() if measure == "flag" and name != ANY]
        gaps = [row for (measure, name), row in found.items() if measure == "missing" and name in REQUIRED_ITEMS]
        # A gap of a state is an item that it lacks more often than all states together.
        gaps = [row for row in gaps if _excess_over_national(figures, row) > 0]
        rows.append(
            {
                "state": code,
                "loaded": loaded,
                "flagged": flagged["records"],
                "share": flagged["share"] or 0.0,
                "flags": sorted(flags, key=lambda row: (-row["records"], row["name"]))[:3],
                "gap": max(gaps, key=lambda row: (_excess_over_national(figures, row), row["name"]), default=None),
                "duplicates": sum(found.get(("duplicate", rule), {}).get("records", 0) for rule in DUPLICATE_RULES),
            }
        )
    return sorted(rows, key=lambda row: (row["loaded"] < MIN_STATE_RECORDS, -row["share"], row["state"]))


def duplicate_rows(figures: QualitySummary) -> list[Row]:
    """Records set aside, and padding variants, by rule; only rules with records in any year."""
    return [
        {**figures.yearly_row(measure, rule, bar_sparkline), "meaning": meaning}
        for rule, (measure, meaning) in DUPLICATE_RULES.items()
        if rule in figures.names_by_measure.get(measure, [])
    ]


def worst_state(figures: QualitySummary, measure: str, name: str) -> Row | None:
    """The state with the largest share in the latest year; None if there are no states to compare."""
    rows = [found[measure, name] for found in figures.states.values() if (measure, name) in found]
    rows = [row for row in rows if row["of"] >= MIN_STATE_RECORDS]
    if len(figures.states) < 2 or not rows:
        return None
    return max(rows, key=lambda row: (row["share"], row["state"]))


def definitions() -> list[Row]:
    """Every flag with its items, including flags without records."""
    return [
        {
            "name": flag.name,
            "items": [ITEMS_BY_NAME[item] for item in flag.items],
            "meaning": flag.meaning,
            "why": flag.rationale,
        }
        for flag in FLAGS.values()
    ]


def describe_count(measure: str, name: str) -> str:
    """A count in words."""
    flag, _, item = name.partition(":")
    if measure == "flag":
        return f"{describe_item(item)}: values outside its code list" if item else FLAGS[flag].meaning
    return REJECTION_REASONS.get(name, "") if measure == "rejected" else describe_item(name)


def describe_item(name: str) -> str:
    """`Item 29. Average daily traffic`."""
    item = ITEMS_BY_NAME.get(name)
    if item is None:
        return ""
    return f"Item {item.number}. {item.meaning}" if item.number else item.meaning


def _excess_over_national(figures: QualitySummary, row: Row) -> float:
    return (row["share"] or 0.0) - (figures.share(row["measure"], row["name"]) or 0.0)


def _sort_by_records(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row["records"], -row["all_years"], row["name"]))
