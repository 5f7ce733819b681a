"""A platform whose published scores turn out much worse than expected."""

from __future__ import annotations

import polars as pl
import pytest
from click.testing import CliRunner
from support.small_platform import SmallPlatform

from bridge_assets.cli import main

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
