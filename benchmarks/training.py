"""Trains on a national number of inspections, compared with plain scikit-learn with the same settings.

Rows: the features of one survey year of the sample inventory of 31,000 structures, on the model's scale, repeated to
620,000. Noise is added to continuous features, so that no two rows are the same, and all values are rounded to float16
again. Outcomes are drawn with a probability that depends on a few of the features; about one in eleven falls.

Ours reads the training set and calls `train_forest`: select the rows, build one float32 matrix, check that every value
is exact in float16, fit the forest of configs/model_config.yaml. Plain scikit-learn reads the same file with pandas and
fits RandomForestClassifier with the same arguments. Each runs in its own process, alternately; the two forests are
compared before the figures are printed. There is no calibration step, because these settings do not need one.

The two are compared with twenty trees: every tree takes the same time to fit, and with fewer trees our overhead has
more weight. Then ours is measured once with the number of trees in model_config.yaml.

Limit: 1.1 times the time of plain scikit-learn.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.features import transitions_of
from benchmarks.interleaved import measure, show, working_folder

if TYPE_CHECKING:
    from bridge_assets.settings import ForestSettings

ROWS, STRUCTURES, YEAR, ROUNDS, TREES_COMPARED = 620_000, 31_000, 2019, 3, 20

#: Standard deviations of the noise, on the model's scale (one is the spread of the feature).
NOISE = 0.05

#: A feature with more distinct values than this is continuous; ratings, codes and counts get no noise.
CONTINUOUS_FROM = 50

OURS, PLAIN = "train_forest", "plain scikit-learn"


def main() -> None:
    path, trees = training_table(working_folder()), settings().trees
    print(f"{ROWS:,} inspections, {len(features())} features\n")
    show(measure({how: _command(how, path, TREES_COMPARED) for how in (PLAIN, OURS)}, ROUNDS), PLAIN)
    ours, plain = (np.load(_answers(how, path)) for how in (OURS, PLAIN))
    assert (ours == plain).all(), "the two forests predict differently"
    print(f"\n{TREES_COMPARED} trees; the two forests predict the same. {OURS} with {trees} trees:\n", flush=True)
    show(measure({OURS: _command(OURS, path, trees)}, rounds=1), OURS)


def train(how: str, path: Path, trees: int) -> None:
    """Train in one of the two ways and save the predictions for the first rows, for the comparison."""
    forest_settings = settings()
    if how == OURS:
        from bridge_assets.models.training.train_forest import train_forest

        forest = train_forest(pl.read_parquet(path), features(), forest_settings.model_copy(update={"trees": trees}))
    else:
        import pandas as pd
        from sklearn.ensemble import RandomForestClassifier

        table = pd.read_parquet(path, columns=[*features(), "fall"])
        forest = RandomForestClassifier(
            trees,
            max_depth=forest_settings.depth,
            min_samples_leaf=forest_settings.leaf,
            max_features=forest_settings.features,  # type: ignore[arg-type] # inferred from its default alone
            n_jobs=-1,
            random_state=forest_settings.seed,
        ).fit(table[list(features())], table["fall"])
    first = pl.read_parquet(path, n_rows=1000).select(features()).to_pandas()
    np.save(_answers(how, path), forest.set_params(n_jobs=1).predict_proba(first))


def settings() -> ForestSettings:
    """The forest settings of model_config.yaml."""
    from bridge_assets.settings import ModelSettings

    return ModelSettings.load().forest


def features() -> tuple[str, ...]:
    from bridge_assets.data.features.definitions import FEATURE_NAMES

    return FEATURE_NAMES


def training_table(folder: Path) -> Path:
    """Write the rows unless the file exists: `split`, `fall` and the features, Float32."""
    from bridge_assets.data.features.build import build_bridge_features, condition_history, features_digest
    from bridge_assets.data.features.normalization import Normalization
    from bridge_assets.data.features.peers import peer_outcomes
    from bridge_assets.data.ingest.ingest import ingest
    from bridge_assets.models.forest.quantize import to_float16_grid
    from bridge_assets.nbi.sample import SampleSpec, write_sample

    path = folder / f"training_{ROWS}_rows_{features_digest()}.parquet"
    if path.is_file():
        return path
    sample = folder / "sample_to_train_on"
    spec = SampleSpec(structures=STRUCTURES, first_year=YEAR, last_year=YEAR, seed=1)
    write_sample(sample, sample / "oracle.parquet", spec)
    records = sample / "records.parquet"
    ingest([sample / f"NBI_{YEAR}.txt"], YEAR, records, sample / "rejected.parquet")
    past = transitions_of(records).lazy()
    natural = build_bridge_features(pl.scan_parquet(records), condition_history(past), peer_outcomes(past), YEAR)
    scaled = Normalization.fit(natural, features()).transform(natural)
    random = np.random.default_rng(0)
    repeated = scaled.select(features())[random.integers(0, scaled.height, ROWS)]
    matrix = repeated.to_numpy()
    continuous = [name for name in features() if scaled[name].n_unique() > CONTINUOUS_FROM]
    columns = [features().index(name) for name in continuous]
    matrix[:, columns] += random.normal(0, NOISE, (ROWS, len(columns))).astype(np.float32)
    log_odds = -2.7 + matrix[:, [features().index(name) for name in ("condition", "age", "log_trucks")]] @ (
        0.5,
        0.4,
        0.3,
    )
    rows = pl.DataFrame(to_float16_grid(matrix, features()), schema=list(features())).with_columns(
        split=pl.lit("train"), fall=pl.Series(random.random(ROWS) < 1 / (1 + np.exp(-log_odds)))
    )
    temporary = path.with_suffix(".part")
    rows.write_parquet(temporary)
    temporary.rename(path)
    return path


def _command(how: str, path: Path, trees: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.training", how, str(path), str(trees)]


def _answers(how: str, path: Path) -> Path:
    return path.with_suffix(f".{how.replace(' ', '_')}.npy")


if __name__ == "__main__":
    train(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
