"""Writes the sample: one file per survey year, the oracle, and a marker file with the spec and the digests."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from bridge_assets.nbi.derived import structure_key
from bridge_assets.nbi.sample.spec import SampleSpec, SampleSummary
from bridge_assets.nbi.sample.survey import Inventory, build_inventory, render_survey_file
from bridge_assets.storage import atomic_write, digest, write_json, write_parquet

MARKER = "sample.json"

SAMPLE_FILE_PATTERN = re.compile(r"NBI_\d{4}\.txt")


def write_sample(folder: Path, oracle_file: Path, spec: SampleSpec) -> SampleSummary:
    """Write the survey files and the oracle of a sample.

    Parameters
    ----------
    folder : Path
        Folder for `NBI_{year}.txt`. Files of an earlier sample are replaced or removed; other files are left alone.
    oracle_file : Path
        Parquet with a row for each structure and survey year in which a new inspection first appears: structure_key
        (String), survey_year (Int16), inspection_date (Date, first of the month), fall_probability (Float64: the true
        probability, given everything known at that inspection, that the condition is lower at the next inspection of
        the structure, provided that this takes place within 48 months).
    spec : SampleSpec

    Raises
    ------
    StorageError
        If the disk is full or a folder cannot be written. Files not yet replaced are intact, and `is_current` is False.
    """
    files = {year: folder / f"NBI_{year}.txt" for year in spec.years}
    earlier = {name for name in _read_marker(folder).get("files", {}) if SAMPLE_FILE_PATTERN.fullmatch(name)}
    # Until the end the marker has no spec, so `is_current` is False; it still lists the files that we may remove.
    write_json({"files": dict.fromkeys(sorted(earlier | {path.name for path in files.values()}))}, folder / MARKER)
    for name in earlier - {path.name for path in files.values()}:
        (folder / name).unlink(missing_ok=True)
    inventory = build_inventory(spec)
    rows, dirt = 0, Counter[str]()
    for year, path in files.items():
        content, height, found = render_survey_file(inventory, year)
        with atomic_write(path) as temp_path:
            temp_path.write_bytes(content)
        rows += height
        dirt.update(found)
    write_parquet(_oracle(inventory), oracle_file)
    digests = {"files": {path.name: digest(path) for path in files.values()}, "oracle": digest(oracle_file)}
    write_json(_fingerprint(spec) | digests, folder / MARKER)
    return SampleSummary(
        folder=folder,
        files=list(files.values()),
        years=list(files),
        structures=inventory.inspections["structure"].n_unique(),
        rows=rows,
        dirt=dict(dirt),
    )


def is_current(folder: Path, oracle_file: Path, spec: SampleSpec) -> bool:
    """Whether the files were written with this spec by this version of the generator, and are unchanged since."""
    marker = _read_marker(folder)
    if any(marker.get(key) != value for key, value in _fingerprint(spec).items()):
        return False
    expected = {folder / name: value for name, value in marker["files"].items()} | {oracle_file: marker["oracle"]}
    return all(path.is_file() and digest(path) == value for path, value in expected.items())


def _oracle(inventory: Inventory) -> pl.DataFrame:
    published = {"STATE_CODE_001": "state", "STRUCTURE_NUMBER_008": "number"}
    keys = inventory.population.select(pl.col(column).alias(item) for item, column in published.items()).select(
        structure_key()
    )
    month = pl.col("month").cast(pl.Int32)
    oracle = inventory.inspections.select(
        structure_key=keys.to_series()[inventory.inspections["structure"]],
        survey_year=pl.col("first_file").cast(pl.Int16),
        inspection_date=pl.date(month // 12, month % 12 + 1, 1),
        fall_probability="fall_probability",
    )
    return oracle.sort("structure_key", "survey_year")


def _fingerprint(spec: SampleSpec) -> dict[str, Any]:
    return {"spec": asdict(spec), "generator": _generator_digest()}


def _generator_digest() -> str:
    """Digest of the source code of the generator: a version number that nobody can forget to increase."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:12]


def _read_marker(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
