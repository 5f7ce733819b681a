"""Rolling origins on real ratings: for each survey year from 2004 to 2011, deck falls of Massachusetts a year ahead.

Every forecast is trained on what was known before the tested year, and on other bridges: one third of the bridges is
held out at a time (`massachusetts.cross_fitted`). All eight years are then judged together: beside the baselines, by
rating, for ratings of 7 and less, and for decks that become Poor. The intervals resample bridges.

One feature is the share of peers that fell, and held-out bridges are among the peers of others: their outcomes, known
by the year of the forecast, enter as those of neighbours, as they would for any bridge in service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.massachusetts import ALL, cross_fitted, folder
from benchmarks.massachusetts_panel import read_panel
from bridge_assets.markdown import table

if TYPE_CHECKING:
    import polars as pl

#: Tested survey years. Before 2004, fewer than four years are known to train on.
ORIGINS = range(2004, 2012)

#: Forecasts to compare; the plain forest is in `massachusetts`.
COMPARED = ("base rate", "rating table", "logistic regression", "gradient boosting", "model")

RESAMPLES, SEED = 300, 0


def main() -> None:
    held_out = rolling_origins(read_panel(folder()))
    print(f"{held_out.height:,} bridge years of {ORIGINS[0]} to {ORIGINS[-1]}, {held_out['fall'].mean():.1%} fell\n")
    print(forecasts_markdown(held_out), "\n")
    show_by_rating_and_parts(held_out)


def rolling_origins(panel: pl.DataFrame, compared: tuple[str, ...] = COMPARED) -> pl.DataFrame:
    """Every bridge year of the tested years, with the probability from each forecast; see `cross_fitted`."""
    import polars as pl

    forecasts = {name: ALL[name] for name in compared}
    return pl.concat(cross_fitted(panel, forecasts, (year, year)) for year in ORIGINS)


def forecasts_markdown(held_out: pl.DataFrame) -> str:
    """The forecasts side by side as a Markdown table, with the model's intervals."""
    from bridge_assets.models.metrics.bootstrap import bootstrap_intervals
    from bridge_assets.models.metrics.probability import probability_metrics

    falls = held_out["fall"].to_numpy()
    probabilities = {name: held_out[name].to_numpy() for name in COMPARED if name in held_out.columns}
    keys = held_out["structure_key"].to_list()
    drawn, _ = bootstrap_intervals(falls, probabilities, keys, (), resamples=RESAMPLES, seed=SEED)
    rows = []
    for name, probability in probabilities.items():
        figures, interval = probability_metrics(falls, probability), drawn[name]
        ranked = [
            f"{getattr(figures, metric):.3f} ({interval[metric].low:.3f} to {interval[metric].high:.3f})"
            for metric in ("auc", "average_precision")
        ]
        rows.append((name, *ranked, f"{figures.brier:.4f}", f"{figures.worst_10:.1%}", f"{figures.ratio:.2f}"))
    header = ("forecast", "AUC", "average precision", "Brier", "falls in worst 10 %", "expected / observed")
    return table(header, rows, "lrrrrr")


def show_by_rating_and_parts(held_out: pl.DataFrame) -> None:
    """The model's expected and observed falls by rating, and both parts beside the rating table."""
    import polars as pl

    from bridge_assets.models.metrics import parts

    falls, keys = held_out["fall"].to_numpy(), held_out["structure_key"].to_list()
    drawn = {"resamples": RESAMPLES, "seed": SEED}
    by_rating = parts.calibration_by_rating(
        falls, held_out["model"].to_numpy(), held_out["rating"].to_numpy(), keys, **drawn
    )
    print(parts.by_rating_markdown(by_rating), "\n")
    forecasts = {"rating_table": held_out["rating table"].to_numpy(), "model": held_out["model"].to_numpy()}
    # Falls that end in Poor are counted on the years before the tested ones.
    before = read_panel(folder()).filter(pl.col("next_survey_year") < ORIGINS[0])
    print(parts.parts_markdown(parts.measure_parts(before, held_out, forecasts, **drawn)))
