"""A platform whose published scores turn out much worse than expected: by exchanged scores, or by files that arrive."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner
from support.small_platform import SmallPlatform

from bridge_assets.cli import main

#: The condition ratings.
RATINGS = ("DECK_COND_058", "SUPERSTRUCTURE_COND_059", "SUBSTRUCTURE_COND_060", "CULVERT_COND_062")

#: The class and the lowest rating as FHWA computes them: until 2017, and since.
PUBLISHED = (("CAT10", "CAT23"), ("BRIDGE_CONDITION", "LOWEST_RATING"))

REASON = "The state recoded its decks in these years"


def scores_turn_out_badly(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """The bridges that were said to be the safest are those that fell."""
    lake = platform.lake
    for year in lake.available_years("published_scores"):
        published = lake.read_year("published_scores", year)
        both_ends = pl.col("prediction").max() + pl.col("prediction").min()
        opposite = (both_ends - pl.col("prediction")).alias("prediction")
        lake.write(published.with_columns(opposite), "published_scores", year)
    result = platform.materialize("realised_quality")
    [evaluation] = result.get_asset_check_evaluations()
    assert not evaluation.passed, evaluation.description


def and_it_is_acknowledged(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    scores_turn_out_badly(platform, monkeypatch, target)
    done = CliRunner().invoke(main, ["acknowledge", "realised_quality", "--reason", REASON])
    assert done.exit_code == 0, done.output


def lower_ratings(path: Path, points: int, every: int = 1) -> None:
    """Lower every condition rating of a survey file, and FHWA's class and lowest rating with it.

    Parameters
    ----------
    path : Path
        A file of the sample; none of its fields contains a comma.
    points : int
        By how much; no rating falls below 1.
    every : int
        Only the records at every so many places are changed.
    """
    header, *records = path.read_text(encoding="utf-8").splitlines()
    place = {name: number for number, name in enumerate(header.split(","))}
    lines = [header]
    for number, record in enumerate(records):
        if number % every:
            lines.append(record)
            continue
        fields = record.split(",")
        for name in RATINGS:
            if fields[place[name]].strip().isdigit():
                fields[place[name]] = str(max(1, int(fields[place[name]]) - points))
        found = [int(fields[place[name]]) for name in RATINGS if fields[place[name]].strip().isdigit()]
        for of_class, of_lowest in PUBLISHED:
            if of_lowest in place and fields[place[of_lowest]].strip().isdigit():
                fields[place[of_lowest]] = str(min(found))
                fields[place[of_class]] = "G" if min(found) >= 7 else "F" if min(found) >= 5 else "P"
        lines.append(",".join(fields))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
