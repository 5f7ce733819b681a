"""Deck falls of Massachusetts a year ahead: real ratings, trained to 2008, tested on 2009 to 2011.

Panel: `ma_panel` in the folder that `BRIDGE_ASSETS_REAL_DATA` names (shoshievass/bridgeConditions on GitHub, MIT; works
of the state and the US government). Trained on is what was known by 2008, and no bridge is tested that was trained on:
the bridges are held out by thirds, in turn, and the three lists of probabilities are put together. Bridges are drawn for
the intervals.

What is the product's: the split, the scale, the forest with the settings of model_config.yaml, the rate of peers, the
baselines and the figures. The features follow the product's where the panel has what they need
(`massachusetts_panel`); they and the settings were chosen on outcomes up to 2008. The first table shows that choice.

Bounds: AUC at least 0.74, average precision at least 0.25. A plain random forest had 0.711 and 0.222 on a neighbouring
split; the share of decks that fall is about 0.06.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.massachusetts_panel import FEATURES, read_panel

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

FIRST, LAST = 2009, 2011
THIRDS = 3
BOUNDS = {"auc": 0.74, "average_precision": 0.25}

#: Tried on outcomes up to 2008; everything else is as in model_config.yaml.
TRIED = {"leaf": (10, 20, 40, 80), "features": ("sqrt", 0.3)}


def main() -> None:
    panel = read_panel(folder())
    print(f"{panel.height:,} bridge years, {panel['fall'].mean():.1%} of which fell\n")
    show_choice(panel)
    held_out = cross_fitted(panel, ALL)
    show(held_out)


def folder() -> Path:
    """Where the panel lies."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("BRIDGE_ASSETS_REAL_DATA", beside)) / "ma_panel"


def model(split: pl.DataFrame) -> np.ndarray:
    """The product's forest, trained and asked: one probability a held-out row."""
    from bridge_assets.models.train import holdout_probability, train_forest
    from bridge_assets.settings import ModelSettings

    return holdout_probability(train_forest(split, FEATURES, ModelSettings.load().forest), split, FEATURES)


def plain_forest(split: pl.DataFrame) -> np.ndarray:
    """scikit-learn's random forest as it comes, 200 trees, on the same features."""
    from sklearn.ensemble import RandomForestClassifier

    from bridge_assets.models.matrix import feature_matrix
    from bridge_assets.models.split import holdout_rows, train_rows

    train, held_out = train_rows(split), holdout_rows(split)
    forest = RandomForestClassifier(200, random_state=0, n_jobs=-1)
    forest.fit(feature_matrix(train, FEATURES), train["fall"].to_numpy())
    return forest.predict_proba(feature_matrix(held_out, FEATURES))[:, 1]


def _baseline(name: str, *arguments: object) -> Callable[[pl.DataFrame], np.ndarray]:
    from bridge_assets.models import baselines

    return lambda split: getattr(baselines, name)(split, *arguments)


ALL: Mapping[str, Callable[[pl.DataFrame], np.ndarray]] = {
    "base rate": _baseline("base_rate"),
    "rating table": _baseline("rating_table"),
    "logistic regression": _baseline("logistic_regression", FEATURES),
    "gradient boosting": _baseline("gradient_boosting", FEATURES),
    "plain random forest": plain_forest,
    "model": model,
}


def cross_fitted(panel: pl.DataFrame, forecasts: Mapping[str, Callable[[pl.DataFrame], np.ndarray]]) -> pl.DataFrame:
    """Every bridge year from 2009 to 2011, with the probability that each forecast gives it.

    Parameters
    ----------
    panel : pl.DataFrame
        As `read_panel` gives it.
    forecasts : mapping of str to callable
        Each takes a split table on the model's scale and gives one probability a held-out row.

    Returns
    -------
    pl.DataFrame
        structure_key, survey_year, fall, and one column a forecast: of forecasts that never saw the bridge, nor an
        outcome after 2008.
    """
    import polars as pl

    from bridge_assets.data.normalization import Normalization
    from bridge_assets.models.split import holdout_rows, split_at, train_rows

    parts = []
    for third in range(THIRDS):
        split = split_at(panel, FIRST, LAST, 1 / THIRDS, offset=third / THIRDS)
        scaled = Normalization.fit(train_rows(split), FEATURES).apply(split)
        said = [pl.Series(name, forecast(scaled)) for name, forecast in forecasts.items()]
        parts.append(holdout_rows(scaled).select("structure_key", "survey_year", "fall").with_columns(said))
    return pl.concat(parts).sort("structure_key", "survey_year")


def show_choice(panel: pl.DataFrame) -> None:
    """Forests tried on outcomes up to 2008 alone: the last two years of them, by thirds of the bridges."""
    import polars as pl

    from bridge_assets.data.normalization import Normalization
    from bridge_assets.models.search import search_forest
    from bridge_assets.settings import ModelSettings

    before = panel.filter(pl.col("next_survey_year") < FIRST).with_columns(split=pl.lit("train"))
    scaled = Normalization.fit(before, FEATURES).apply(before)
    print("| leaf | features | AUC before 2009 | Brier |\n|---:|---:|---:|---:|")
    for trial in search_forest(scaled, FEATURES, ModelSettings.load().forest, TRIED, splits=THIRDS, years=2):
        print(f"| {trial.settings.leaf} | {trial.settings.features} | {trial.auc:.4f} | {trial.brier:.5f} |")
    print()


def show(held_out: pl.DataFrame) -> None:
    """The forecasts side by side, with 95 % intervals by bridge, and how true the model's probabilities came."""
    from bridge_assets.models.calibration import reliability
    from bridge_assets.models.resampling import intervals
    from bridge_assets.models.scores import scores

    falls, keys = held_out["fall"].to_numpy(), held_out["structure_key"].to_list()
    said = {name: held_out[name].to_numpy() for name in ALL}
    drawn, _ = intervals(falls, said, keys, (), resamples=300, seed=0)
    print(f"{held_out.height:,} bridge years of {FIRST} to {LAST}, {falls.mean():.1%} of which fell\n")
    print("| forecast | AUC | average precision | Brier | falls in worst 10 % |\n|---|---|---|---:|---:|")
    for name, probability in said.items():
        figures = scores(falls, probability)
        cells = [
            f"{getattr(figures, figure):.3f} ({drawn[name][figure].low:.3f} to {drawn[name][figure].high:.3f})"
            for figure in BOUNDS
        ]
        print(f"| {name} | {' | '.join(cells)} | {figures.brier:.4f} | {figures.worst_10:.1%} |")
    judged = reliability(falls, said["model"], keys, resamples=0, seed=0)
    print(f"\nThe model: {judged.said}." if judged else "")
