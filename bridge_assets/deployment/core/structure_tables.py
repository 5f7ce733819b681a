"""Makes the tables of structures that are packed with a version for the local endpoint (`runtime.structure_tables`).

They hold what the lake knows when the version is deployed: the features of the last survey year, the latest inspection
of every structure and its history, the fall rates of its peers, and its years until Poor. Deploying the version again
packs newer tables.

Belongs here: joining tables of the lake. Does not belong here: the format and reading it, and computing features.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bridge_assets.errors import BridgeAssetsError, ModelFileError, SourceError, error_summary
from bridge_assets.runtime.package import DETERIORATION, STRUCTURES, STRUCTURES_INFO
from bridge_assets.runtime.structure_tables import FORMAT
from bridge_assets.storage import digest, to_json

if TYPE_CHECKING:
    import polars as pl

    from bridge_assets.data.lake import Lake, YearTable
    from bridge_assets.models.survival.store import SurvivalModelVersion
    from bridge_assets.settings import SurvivalSettings


@dataclass(frozen=True)
class PackedTables:
    """The tables of structures as files of a package, or why there are none.

    Attributes
    ----------
    contents : mapping of str to bytes
        File -> content, of `package.TABLE_FILES`; empty if there are none.
    skipped_reason : str
        Without its full stop; empty if there are tables.
    """

    contents: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    skipped_reason: str = ""


def pack_structure_tables(lake: Lake, models: Path, survival: SurvivalSettings, features_digest: str) -> PackedTables:
    """The tables for a model version. A lake without them is no reason not to deploy it.

    Parameters
    ----------
    lake : Lake
    models : Path
        Folder of all models, for the deterioration model.
    survival : SurvivalSettings
        Horizon and interval of years until Poor.
    features_digest : str
        Definitions on which the version was trained; features by others are not packed.
    """
    try:
        return PackedTables(_contents(lake, models, survival, features_digest))
    except (BridgeAssetsError, OSError) as error:
        reason = str(error) if isinstance(error, BridgeAssetsError) else error_summary(error)
        return PackedTables(skipped_reason=reason.rstrip("."))


def _contents(lake: Lake, models: Path, survival: SurvivalSettings, features_digest: str) -> dict[str, bytes]:
    from bridge_assets.data.features.build import ID_COLUMNS
    from bridge_assets.data.features.peers import peer_fall_rates, peer_outcomes

    years = lake.available_years("bridge_features")
    features = lake.load_year("bridge_features", years[-1] if years else 0)
    _require_same_definitions(features, features_digest)
    survey_year = features.survey_year
    transitions = lake.scan("fct_condition_transitions")
    rates = peer_fall_rates(peer_outcomes(transitions), survey_year)
    names = [name for name in features.table.columns if name not in ID_COLUMNS]
    model, why_no_model = _deterioration_model(models, features_digest)
    years = _years_until_poor(lake, features, model, survival)
    table = _with_features(_latest_inspections(lake, survey_year), lake, features, names).join(
        years, "structure_key", "left", maintain_order="left"
    )
    info = {
        "format": FORMAT,
        "survey_year": survey_year,
        "features": names,
        "features_digest": features_digest,
        "peers": rates.to_json(),
        "years_until_poor": {
            "skipped_reason": why_no_model,
            "model_version": model.version if model else "",
            "horizon_years": survival.horizon_years,
            "interval": survival.interval,
        },
        "made_from": {
            "bridge_features": features.digest,
            "fct_condition_transitions": digest(lake.table_path("fct_condition_transitions")),
        },
    }
    contents = {STRUCTURES: _arrow(table), STRUCTURES_INFO: to_json(info).encode()}
    if model is not None:
        contents[DETERIORATION] = model.model_file.read_bytes()
    return contents


def _require_same_definitions(features: YearTable, features_digest: str) -> None:
    found = features.provenance["features_digest"]
    if found != features_digest:
        raise SourceError(
            f"the features of {features.survey_year} cannot be packed with this model version",
            where=features.path,
            why=f"It was trained with feature definitions {features_digest}, these were computed with {found}",
            do="build the features again, or train and deploy a version with the current definitions",
            stage="bridge_features",
        )
    if features.provenance["digest"] != features.digest:
        raise SourceError(
            f"the features of {features.survey_year} are half-written",
            where=features.path,
            why="They do not match their provenance: a run may have been killed while writing them",
            do=f"build the features of {features.survey_year} again, then deploy the version again",
            stage="bridge_features",
        )


def _deterioration_model(models: Path, features_digest: str) -> tuple[SurvivalModelVersion | None, str]:
    """The deterioration model of these feature definitions; or None, and why."""
    from bridge_assets.models.survival.store import has_model, latest_model

    if not has_model(models):
        return None, "No deterioration model had been fitted when this version was deployed"
    try:
        model = latest_model(models)
    except ModelFileError as error:
        return None, error.what
    if model.model.features_digest != features_digest:
        return None, f"The deterioration model {model.version} was fitted to other feature definitions"
    return model, ""


def _years_until_poor(
    lake: Lake, features: YearTable, model: SurvivalModelVersion | None, survival: SurvivalSettings
) -> pl.DataFrame:
    """structure_key and `YEARS_COLUMNS`: those of the lake if they are of this model and these features."""
    import polars as pl

    from bridge_assets.models.survival.store import TABLE_NAME, score_years_until_poor
    from bridge_assets.scoring.years_until_poor import YEARS_COLUMNS, match_years_until_poor

    table, origin = match_years_until_poor(lake.find_year(TABLE_NAME, features.survey_year), features)
    if model is None:
        return table.clear()
    if origin.get("model_version") == model.version and origin.get("interval") == survival.interval:
        return table
    scores, _ = score_years_until_poor(features, model, survival)
    return scores.select("structure_key", **{name: pl.col(column) for name, column in YEARS_COLUMNS.items()})


def _latest_inspections(lake: Lake, survey_year: int) -> pl.DataFrame:
    """The latest inspection of each structure in the files up to a survey year, with its history: `STATE_COLUMNS`."""
    import polars as pl

    from bridge_assets.data.features.next_inspection import STATE_COLUMNS

    key = ["structure_key", "survey_year"]
    ratings = lake.scan("int_inspections").select(*key, "inspection_number", pl.col("^.*_rating_0..$"))
    latest = (
        lake.scan("fct_condition_transitions")
        .filter(pl.col("survey_year") <= survey_year)
        .sort(key)
        .unique("structure_key", keep="last", maintain_order=True)
        .join(ratings, on=key, how="left")
        .collect()
    )
    by_year = latest.partition_by("survey_year", maintain_order=True)
    evidence = [_evidence(lake, year["survey_year"][0], year) for year in by_year]
    return latest.join(pl.concat(evidence), on="structure_key", how="left").select(
        "structure_key", *(pl.col(name).cast(kind) for name, kind in STATE_COLUMNS.items())
    )


def _evidence(lake: Lake, survey_year: int, structures: pl.DataFrame) -> pl.DataFrame:
    """The items by which the next inspection shows whether work was done, from the records of one survey year."""
    import polars as pl

    from bridge_assets.data.features.next_inspection import EVIDENCE_ITEMS, YEAR_ITEMS
    from bridge_assets.data.records.structures import one_record_per_structure

    records = lake.scan_year("raw_bridges", survey_year).filter(
        pl.col("structure_key").is_in(structures["structure_key"].implode())
    )
    years = [pl.when(pl.col(item) > 0).then(pl.col(item)).alias(item) for item in YEAR_ITEMS]
    codes = [pl.col(item).cast(pl.String) for item in EVIDENCE_ITEMS]
    return one_record_per_structure(records).select("structure_key", *years, *codes).collect()


def _with_features(inspections: pl.DataFrame, lake: Lake, features: YearTable, names: list[str]) -> pl.DataFrame:
    """The table of all structures that a file has ever had: latest inspection and features."""
    import numpy as np
    import polars as pl

    last_seen = lake.read("dim_structures").select("structure_key", "last_survey_year")
    kind = pl.Array(pl.Float32, len(names))
    matrix = np.column_stack([features.table[name].fill_null(float("nan")).to_numpy() for name in names])
    scored = features.table.select("structure_key", pl.Series("features", matrix, dtype=kind))
    return (
        last_seen.join(inspections, "structure_key", "left")
        .join(scored, "structure_key", "full", coalesce=True)
        .with_columns(
            pl.col("features").is_not_null().alias("is_scored"),
            pl.col("features").fill_null(pl.lit([float("nan")] * len(names), dtype=kind)),
        )
        .sort("structure_key")
    )


def _arrow(table: pl.DataFrame) -> bytes:
    """An Arrow file with one batch, uncompressed, so that it can be mapped."""
    import polars as pl

    buffer = io.BytesIO()
    table.rechunk().write_ipc(
        buffer, compression="uncompressed", compat_level=pl.CompatLevel.oldest(), record_batch_size=max(1, table.height)
    )
    return buffer.getvalue()
