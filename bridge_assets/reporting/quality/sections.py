"""The figures of each section of the data quality page, as plain values, from the summaries of the survey years."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from bridge_assets.data.quality.jumps import LEAST_YEARS, jumps
from bridge_assets.data.quality.measures import ALL_STATES, ANY, REQUIRED_ITEMS, RULES
from bridge_assets.nbi.coding_guide.items import BY_NAME
from bridge_assets.nbi.delimited.records import REASONS
from bridge_assets.nbi.flag_rules import FLAGS
from bridge_assets.reporting.html.strips import Strip, bars, cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import polars as pl

Row: TypeAlias = dict[str, Any]

#: Lines shown of each reason, and characters of each line: a record of the widest layout has about 700.
LINES, CHARACTERS = 6, 900

#: A state with fewer records says little by its shares: it stands at the end of the list.
FEW_RECORDS = 100

#: asset -> what it holds. The small print of each section names one of these.
SOURCES = {
    "data_quality": "Every count of this page, tidy: survey year, state, measure, name, records, of, share",
    "raw_bridges": "The records, with the columns flags and unparsed, and file and line number of each",
    "rejected_records": "Rows that were not loaded, by survey year, with file, line number, reason and text",
    "rejects": "The same of all survey years, as one table of the warehouse (dbt)",
    "duplicate_records": "The records that share a structure key in a survey year (dbt)",
    "structure_number_variants": "Structures whose number is written in several ways, over all years (dbt)",
}


class Figures:
    """The summaries, by what a section asks for: totals of all years, and the states of the latest one."""

    def __init__(self, summary: pl.DataFrame) -> None:
        import polars as pl

        self.summary = summary
        self.years: list[int] = sorted(summary["survey_year"].unique().to_list())
        self.latest = self.years[-1]
        national = summary.filter(pl.col("state") == ALL_STATES)
        self.total = {(row["measure"], row["name"], row["survey_year"]): row for row in national.to_dicts()}
        latest = summary.filter((pl.col("survey_year") == self.latest) & (pl.col("state") != ALL_STATES))
        self.states: dict[str, dict[tuple[str, str], Row]] = {}
        for row in latest.to_dicts():
            self.states.setdefault(row["state"], {})[row["measure"], row["name"]] = row

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """Names of each measure that occur in some year, in no order."""
        found: dict[str, dict[str, None]] = {}
        for (measure, name, _), row in self.total.items():
            if row["records"]:
                found.setdefault(measure, {})[name] = None
        return {measure: list(names) for measure, names in found.items()}

    def records(self, measure: str, name: str, year: int | None = None) -> int:
        return self.total.get((measure, name, year or self.latest), {}).get("records", 0)

    def share(self, measure: str, name: str, year: int | None = None) -> float | None:
        """None where the year does not say it: its layout has not the item."""
        found = self.total.get((measure, name, year or self.latest))
        if found is not None:
            return found["share"]
        return None if measure == "missing" else 0.0

    def set_aside(self, year: int) -> int:
        """Records for which another one of their structure stands."""
        return sum(self.records(measure, rule, year) for rule, (measure, _) in RULES.items() if measure == "duplicate")

    def over_years(self, measure: str, name: str, draw: Callable[..., Strip]) -> Row:
        """A row of a table over the years: records and share of the latest year, the strip, the year of most."""
        shares = [self.share(measure, name, year) for year in self.years]
        most = max(self.years, key=lambda year: (self.share(measure, name, year) or 0.0, year))
        return {
            "name": name,
            "records": self.records(measure, name),
            "all_years": sum(self.records(measure, name, year) for year in self.years),
            "share": self.share(measure, name),
            "most": self.share(measure, name, most),
            "most_year": most,
            "strip": draw(self.years, shares),
        }


def overview(figures: Figures) -> Row:
    """What a person asks first: is every row there, and how many records are marked."""
    rows = [
        {
            "survey_year": year,
            **{name: figures.records("rows", name, year) for name in ("read", "loaded", "rejected", "on_structure")},
            "flagged": figures.records("flag", ANY, year),
            "share_flagged": figures.share("flag", ANY, year),
            "unparsed": figures.records("unparsed", ANY, year),
            "duplicates": figures.set_aside(year),
        }
        for year in reversed(figures.years)
    ]
    totals = ("read", "loaded", "rejected", "on_structure", "flagged", "unparsed", "duplicates")
    return {
        "rows": rows,
        "now": rows[0],
        "total": {name: sum(row[name] for row in rows) for name in totals},
        "unreconciled": [row["survey_year"] for row in rows if row["read"] != row["loaded"] + row["rejected"]],
        "states": sorted(figures.states),
    }


def moved(figures: Figures) -> Row:
    """What jumped in the latest survey year against the median of those before it."""
    found = jumps(figures.summary, figures.latest).to_dicts()
    return {
        "rows": [{**row, "says": says(row["measure"], row["name"])} for row in found],
        "comparable": len(figures.years) > LEAST_YEARS,
        "least_years": LEAST_YEARS,
    }


def rejected_lines(figures: Figures, rejected: pl.DataFrame) -> list[Row]:
    """The rejected rows by reason, most first, with the lines themselves of the latest years."""
    import polars as pl

    rows = [figures.over_years("rejected", reason, bars) for reason in figures.names.get("rejected", [])]
    for row in rows:
        row["says"] = REASONS.get(row["name"], "")
        lines = rejected.filter(pl.col("reason") == row["name"])
        lines = lines.sort("survey_year", "file", "line_number", descending=[True, False, False]).head(LINES)
        row["lines"] = [
            {**line, "text": (line["line"] or "")[:CHARACTERS], "cut": max(0, len(line["line"] or "") - CHARACTERS)}
            for line in lines.to_dicts()
        ]
    return sorted(rows, key=lambda row: (-row["all_years"], row["name"]))


def flag_rows(figures: Figures) -> list[Row]:
    """The flags that some record has, over the years; the most frequent of the latest year first."""
    rows = [
        {
            **figures.over_years("flag", name, bars),
            "says": FLAGS[name].meaning if name in FLAGS else "",
            "worst": worst_state(figures, "flag", name),
        }
        for name in figures.names.get("flag", [])
        if name != ANY and ":" not in name
    ]
    return _most_first(rows)


def unknown_code_rows(figures: Figures) -> list[Row]:
    """Items that hold values that are none of their codes, over the years."""
    rows = []
    for name in figures.names.get("flag", []):
        if ":" in name:
            item = name.partition(":")[2]
            rows.append(
                {
                    **figures.over_years("flag", name, bars),
                    "item": item,
                    "says": item_says(item),
                    "worst": worst_state(figures, "flag", name),
                }
            )
    return _most_first(rows)


def missing_rows(figures: Figures) -> Row:
    """The items without a value: those that the guide asks for, in the latest year and before, and the others."""
    named = figures.names.get("missing", [])

    def rows(items: Iterable[str]) -> list[Row]:
        return _most_first([{**figures.over_years("missing", each, cells), "says": item_says(each)} for each in items])

    asked = [name for name in REQUIRED_ITEMS if ("missing", name, figures.latest) in figures.total]
    required = rows(name for name in REQUIRED_ITEMS if name in named)
    return {
        "required": [row for row in required if row["records"]],
        "earlier": [row for row in required if not row["records"]],
        "others": rows(name for name in named if name not in REQUIRED_ITEMS),
        "asked": len(asked),
        "complete": sum(not figures.records("missing", name) for name in asked),
    }


def unparsed_rows(figures: Figures) -> list[Row]:
    """Items that hold a text where a number should be."""
    names = [name for name in figures.names.get("unparsed", []) if name != ANY]
    return _most_first([{**figures.over_years("unparsed", name, bars), "says": item_says(name)} for name in names])


def state_rows(figures: Figures) -> list[Row]:
    """The states of the latest year, the one with the largest share of flagged records first."""
    rows = []
    for code, found in figures.states.items():
        loaded = found.get(("rows", "loaded"), {}).get("records", 0)
        flagged = found.get(("flag", ANY), {"records": 0, "share": 0.0})
        flags = [row for (measure, name), row in found.items() if measure == "flag" and name != ANY]
        gaps = [row for (measure, name), row in found.items() if measure == "missing" and name in REQUIRED_ITEMS]
        gaps = [row for row in gaps if _above_all(figures, row) > 0]  # what all states lack is no state's gap
        rows.append(
            {
                "state": code,
                "loaded": loaded,
                "flagged": flagged["records"],
                "share": flagged["share"] or 0.0,
                "flags": sorted(flags, key=lambda row: (-row["records"], row["name"]))[:3],
                "gap": max(gaps, key=lambda row: (_above_all(figures, row), row["name"]), default=None),
                "duplicates": sum(found.get(("duplicate", rule), {}).get("records", 0) for rule in RULES),
            }
        )
    return sorted(rows, key=lambda row: (row["loaded"] < FEW_RECORDS, -row["share"], row["state"]))


def duplicate_rows(figures: Figures) -> list[Row]:
    """Records set aside, and padding variants, by rule over the years; rules that some record fell under only."""
    return [
        {**figures.over_years(measure, rule, bars), "says": meaning}
        for rule, (measure, meaning) in RULES.items()
        if rule in figures.names.get(measure, [])
    ]


def worst_state(figures: Figures, measure: str, name: str) -> Row | None:
    """The state with the largest share in the latest year, where there are several to compare."""
    rows = [found[measure, name] for found in figures.states.values() if (measure, name) in found]
    rows = [row for row in rows if row["of"] >= FEW_RECORDS]
    if len(figures.states) < 2 or not rows:
        return None
    return max(rows, key=lambda row: (row["share"], row["state"]))


def definitions() -> list[Row]:
    """Every flag with its items, whatever occurs."""
    return [
        {"name": flag.name, "items": [BY_NAME[item] for item in flag.items], "meaning": flag.meaning, "why": flag.why}
        for flag in FLAGS.values()
    ]


def says(measure: str, name: str) -> str:
    """What a count is about, in words."""
    flag, _, item = name.partition(":")
    if measure == "flag":
        return f"{item_says(item)}: values that are none of its codes" if item else FLAGS[flag].meaning
    return REASONS.get(name, "") if measure == "rejected" else item_says(name)


def item_says(name: str) -> str:
    """`Item 29. Average daily traffic`."""
    item = BY_NAME.get(name)
    if item is None:
        return ""
    return f"Item {item.number}. {item.meaning}" if item.number else item.meaning


def _above_all(figures: Figures, row: Row) -> float:
    return (row["share"] or 0.0) - (figures.share(row["measure"], row["name"]) or 0.0)


def _most_first(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row["records"], -row["all_years"], row["name"]))
