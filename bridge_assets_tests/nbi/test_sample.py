"""The sample inventory: realistic, deterministic, and with true fall probabilities."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from support.nbi_files import layout_of, read_nbi

from bridge_assets.errors import StorageError
from bridge_assets.nbi.coding_guide.items import ITEM_NAMES
from bridge_assets.nbi.coding_guide.layouts import layout_of_year
from bridge_assets.nbi.derived import derived_columns
from bridge_assets.nbi.sample import SampleSpec, SampleSummary, is_current, write_sample
from bridge_assets.nbi.sample.places import NAMES_LATIN

SPEC = SampleSpec(structures=1500)
CODED_ITEMS = (
    "RECORD_TYPE_005A", "ROUTE_PREFIX_005B", "OWNER_022", "FUNCTIONAL_CLASS_026", "DESIGN_LOAD_031", "RAILINGS_036A",
    "HISTORY_037", "NAVIGATION_038", "OPEN_CLOSED_POSTED_041", "SERVICE_ON_042A", "SERVICE_UND_042B",
    "STRUCTURE_KIND_043A", "STRUCTURE_TYPE_043B", "VERT_CLR_UND_REF_054A", "OPR_RATING_METH_063", "POSTING_EVAL_070",
    "WORK_PROPOSED_075A", "PARALLEL_STRUCTURE_101", "TRAFFIC_DIRECTION_102", "DECK_STRUCTURE_TYPE_107",
    "SURFACE_TYPE_108A", "MEMBRANE_TYPE_108B", "DECK_PROTECTION_108C", "SCOUR_CRITICAL_113",
)  # fmt: skip
SMALL = SampleSpec(structures=60, first_year=2017, last_year=2020)


@dataclass(frozen=True)
class Sample:
    """A sample as written, and as read back."""

    summary: SampleSummary
    oracle: pl.DataFrame
    records: pl.DataFrame
    rejected: pl.DataFrame
    rows_read: int

    @property
    def on_structure(self) -> pl.DataFrame:
        return self.records.filter("on_structure")

    @property
    def inspections(self) -> pl.DataFrame:
        """The first record of every inspection, with the result of the next inspection of the structure."""
        first = (
            self.on_structure.filter(~pl.col("inspected_in_future"))
            .sort("structure_key", "survey_year")
            .unique(["structure_key", "inspection_date"], keep="first", maintain_order=True)
        )
        following = pl.col("inspection_date", "condition").shift(-1).over("structure_key").name.prefix("next_")
        month = pl.col("inspection_date").dt.year() * 12 + pl.col("inspection_date").dt.month()
        months = (month.shift(-1).over("structure_key") - month).alias("months_to_next")
        return first.with_columns(following, months).join(self.oracle, on=["structure_key", "survey_year"], how="left")


def read_back(summary: SampleSummary, oracle_file: Path) -> Sample:
    batches = [(int(path.stem[4:]), read_nbi(path)) for path in summary.files]
    return Sample(
        summary,
        pl.read_parquet(oracle_file),
        pl.concat(batch.records.with_columns(derived_columns(year)) for year, batch in batches),
        pl.concat(batch.rejected for _, batch in batches),
        sum(batch.rows_read for _, batch in batches),
    )


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    home = tmp_path_factory.mktemp("sample")
    yield read_back(write_sample(home / "files", home / "oracle.parquet", SPEC), home / "oracle.parquet")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("NBI_*.txt"))}


def share(flags: pl.Series) -> float:
    mean = flags.mean()
    assert isinstance(mean, float)
    return mean


def test_the_same_spec_gives_the_same_bytes_and_another_seed_different_ones(tmp_path: Path) -> None:
    for name, spec in {"a": SMALL, "b": SMALL, "other": SampleSpec(60, 2017, 2020, seed=1)}.items():
        write_sample(tmp_path / name, tmp_path / f"{name}.parquet", spec)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert not content(tmp_path / "a").items() & content(tmp_path / "other").items()


def test_every_published_year_can_be_written_in_its_layout(tmp_path: Path) -> None:
    summary = write_sample(tmp_path, tmp_path / "oracle.parquet", SampleSpec(80, 1992, 2025))
    assert summary.years == list(range(1992, 2026))
    for year, path in zip(summary.years, summary.files, strict=True):
        assert path == tmp_path / f"NBI_{year}.txt"
        assert layout_of(path) == layout_of_year(year)


@pytest.mark.parametrize("years", [(1992, 1992), (1999, 2000), (2010, 2011), (2025, 2025)])
def test_short_ranges_contain_every_structure_once_per_year(tmp_path: Path, years: tuple[int, int]) -> None:
    summary = write_sample(tmp_path, tmp_path / "oracle.parquet", SampleSpec(80, *years))
    records = read_back(summary, tmp_path / "oracle.parquet").on_structure
    assert records["structure_key"].n_unique() == summary.structures == 80
    assert records.select("structure_key", "survey_year").is_unique().all()
    assert records["unparsed"].null_count() == records.height
    assert records["inspection_date"].null_count() == records["condition"].null_count() == 0
    assert not records["inspected_in_future"].any()


def test_a_single_structure_is_a_sample(tmp_path: Path) -> None:
    summary = write_sample(tmp_path, tmp_path / "oracle.parquet", SampleSpec(1, 2000, 2003))
    assert summary.structures == 1
    assert 1 <= read_back(summary, tmp_path / "oracle.parquet").on_structure.height <= 4


@pytest.mark.parametrize("years", [(1991, 2000), (2000, 2026), (2010, 2009)])
def test_years_without_a_published_layout_are_refused(years: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="1992 to 2025"):
        SampleSpec(first_year=years[0], last_year=years[1])


def test_rows_reconcile_and_the_rejected_ones_are_those_in_the_summary(sample: Sample) -> None:
    dirt = sample.summary.dirt
    assert sample.rows_read == sample.summary.rows == sample.records.height + sample.rejected.height
    assert sample.rejected.height == dirt["truncated_row"] + dirt["embedded_comma"] == 8
    assert set(sample.rejected["reason"]) == {"field_count"}
    assert sample.rejected.filter(pl.col("detail") == "123 fields expected, 124 found")["file"].to_list() == [
        "NBI_2024.txt"
    ]


def test_the_dirt_in_the_records_is_the_dirt_in_the_summary(sample: Sample) -> None:
    records, dirt = sample.records, sample.summary.dirt
    lines = sample.rejected["line"]
    names = [pl.col(item) for item in ("FEATURES_DESC_006A", "FACILITY_CARRIED_007", "LOCATION_009")]
    found = {
        "apostrophe": pl.any_horizontal(name.str.contains("'", literal=True) for name in names),
        "closing_apostrophe": pl.any_horizontal(name.str.ends_with("'") for name in names),
        "letter_outside_ascii": pl.any_horizontal(name.str.contains("[ÑÍ]") for name in names),
        "seconds_of_60": pl.col("latitude").is_null(),
        "zero_padded_number": pl.col("STRUCTURE_NUMBER_008").str.starts_with("0"),
        "blank_adt": pl.col("ADT_029").is_null() & pl.col("on_structure"),
        "lowercase_n": pl.col("DECK_COND_058") == "n",
        "future_date": pl.col("inspected_in_future"),
    }
    for kind, flag in found.items():
        count = records.select(flag.sum()).item()
        assert dirt[kind] - lines.len() <= count <= dirt[kind], kind  # truncated lines may contain some of it
        assert count > 0, kind
    assert "O'NEAL ROAD" in records["FACILITY_CARRIED_007"].to_list()
    assert set(records["FEATURES_DESC_006A"]) & set(NAMES_LATIN)
    assert records.filter(pl.col("LOCATION_009").str.ends_with("'")).height > 0


def test_old_files_are_latin_1_and_both_line_ends_occur(sample: Sample) -> None:
    files = content(sample.summary.folder)
    old, new = files["NBI_2008.txt"], files["NBI_2020.txt"]
    assert "Ñ".encode("latin-1") in old
    assert "Ñ".encode() in new
    assert b"\r" not in old
    assert old.endswith(b"\n")
    assert new.endswith(b"\r\n")
    assert new.count(b"\r\n") == new.count(b"\n")


def test_dirt_never_removes_a_structure_or_an_inspection(sample: Sample) -> None:
    assert sample.on_structure["structure_key"].n_unique() == sample.summary.structures == SPEC.structures
    assert sample.inspections.height == sample.oracle.height


def test_padding_differs_between_years_for_the_same_structure(sample: Sample) -> None:
    raw = [path.read_bytes().decode("latin-1").splitlines()[1] for path in sample.summary.files]
    paddings = {line.split(",")[1] for line in raw}
    assert {number.strip().lstrip("0") for number in paddings} == {"SMP000001"}
    assert len(paddings) == 3
    by_state = sample.on_structure.unique("structure_key").group_by("STRUCTURE_NUMBER_008").len()
    assert (by_state["len"] > 1).any()  # a number alone does not identify a structure


def test_routes_under_structures_are_in_files_until_2009_and_have_no_condition(sample: Sample) -> None:
    under = sample.records.filter(~pl.col("on_structure"))
    assert set(under["survey_year"]) == {2006, 2007, 2008, 2009}
    assert under["condition"].null_count() == under.height > 0
    keys = sample.on_structure.select("structure_key", "survey_year").unique()
    assert under.join(keys, on=["structure_key", "survey_year"], how="anti").is_empty()


def test_published_evaluations_follow_from_the_ratings(sample: Sample) -> None:
    records = sample.on_structure
    published = records.filter(pl.col("BRIDGE_CONDITION").is_not_null())
    assert published["survey_year"].min() == 2016
    assert (published["BRIDGE_CONDITION"] == published["condition_class"].str.slice(0, 1)).all()
    published = records.filter(pl.col("LOWEST_RATING").is_not_null())
    assert published["survey_year"].min() == 2017
    assert (published["LOWEST_RATING"].cast(pl.Int8) == published["condition"]).all()
    width = (
        pl.when(pl.col("DECK_WIDTH_MT_052") > 0)
        .then(pl.col("DECK_WIDTH_MT_052"))
        .otherwise(pl.col("APPR_WIDTH_MT_032"))
    )
    area = published.select((pl.col("STRUCTURE_LEN_MT_049") * width - pl.col("DECK_AREA")).abs().max()).item()
    assert area <= 0.0051  # published to two decimals
    poor = records.filter((pl.col("condition") <= 4) & pl.col("STATUS_NO_10YR_RULE").is_not_null())
    assert (poor["STATUS_NO_10YR_RULE"] == "1").all()
    assert records["SUFFICIENCY_RATING"].drop_nulls().is_between(0, 100).all()


def test_culverts_are_rated_as_culverts(sample: Sample) -> None:
    culverts = sample.on_structure.filter("is_culvert")
    bridges = sample.on_structure.filter(~pl.col("is_culvert"))
    assert culverts["DECK_COND_058"].str.to_uppercase().eq("N").all()
    assert (culverts["CULVERT_COND_062"] != "N").all()
    assert (bridges["CULVERT_COND_062"] == "N").all()
    assert (bridges["SUBSTRUCTURE_COND_060"] != "N").all()
    assert share(culverts["DECK_WIDTH_MT_052"] == 0) > 0.7


def test_marginals_are_close_to_the_national_inventory(sample: Sample) -> None:
    records = sample.on_structure
    assert 0.38 < share(records["condition_class"] == "Good") < 0.52
    assert 0.42 < share(records["condition_class"] == "Fair") < 0.55
    assert 0.04 < share(records["condition_class"] == "Poor") < 0.11
    assert 0.17 < share(records["is_culvert"]) < 0.30
    assert 0.01 < share(records["STRUCTURE_KIND_043A"] == "7") < 0.08
    assert 0.70 < share(records["SERVICE_UND_042B"].is_in(["5", "6", "9"])) < 0.90
    assert 0.60 < share(records["YEAR_RECONSTRUCTED_106"].fill_null(0) == 0) < 0.90
    assert 0.85 < share(records["OPEN_CLOSED_POSTED_041"] == "A") < 0.97
    assert 0.80 < share(records["INSPECT_FREQ_MONTHS_091"] == 24) < 0.95
    assert set(records["INSPECT_FREQ_MONTHS_091"]) == {12, 24, 48}
    assert len(set(records["STATE_CODE_001"])) == 8
    counts = records.group_by("survey_year").len()["len"]
    assert counts.n_unique() > 10  # some structures are built, some removed
    assert (counts > 0.8 * SPEC.structures).all()


def test_every_item_of_the_layouts_is_read_and_most_are_filled_in(sample: Sample) -> None:
    records = sample.on_structure
    empty = {item for item in ITEM_NAMES if records[item].null_count() == records.height}
    assert empty == {
        "CRITICAL_FACILITY_006B", "SPEC_LAST_DATE_093C", "OTHER_STATE_CODE_098A", "TEMP_STRUCTURE_103", "REMARKS",
        "PROGRAM_CODE", "PROJ_NO", "PROJ_SUFFIX", "NBI_TYPE_OF_IMP", "DTL_TYPE_OF_IMP", "SPECIAL_CODE", "STEP_CODE",
    }  # fmt: skip


def test_codes_are_codes_of_the_coding_guide(sample: Sample, real_data: Path) -> None:
    later = {"DESIGN_LOAD_031": {"A"}}  # HL 93, not yet in the guide of 1995
    table_names = {"OWNER_022": "MAINTENANCE_021"}
    for item in CODED_ITEMS:
        table = real_data / "coding_tables" / f"{table_names.get(item, item)}.csv"
        known = {line.split(";")[0].strip().lstrip("0") for line in table.read_text("utf-8-sig").splitlines()}
        used = {code.lstrip("0") for code in sample.on_structure[item].drop_nulls().unique()}
        assert used <= known | later.get(item, set()) | {""}, item


def test_a_yearly_file_mostly_carries_inspections_forward_unchanged(sample: Sample) -> None:
    ratings = ["DECK_COND_058", "SUPERSTRUCTURE_COND_059", "SUBSTRUCTURE_COND_060", "CULVERT_COND_062"]
    pairs = (
        sample.on_structure.filter(~pl.col("inspected_in_future"))
        .with_columns(pl.col(ratings).str.to_uppercase())
        .sort("structure_key", "survey_year")
        .with_columns(pl.col("inspection_date", *ratings).shift(1).over("structure_key").name.prefix("before_"))
        .filter(pl.col("before_inspection_date").is_not_null())
    )
    carried = pairs.filter(pl.col("inspection_date") == pl.col("before_inspection_date"))
    assert 0.45 < carried.height / pairs.height < 0.60
    for item in ratings:
        assert (carried[item] == carried[f"before_{item}"]).all()
    deck = pairs.filter(
        (pl.col("DECK_COND_058") != "N") & (pl.col("inspection_date") != pl.col("before_inspection_date"))
    )
    change = deck["DECK_COND_058"].cast(pl.Int8) - deck["before_DECK_COND_058"].cast(pl.Int8)
    assert 0.80 < share(change == 0) < 0.90  # nationally 84 %
    assert 0.07 < share(change < 0) < 0.14
    assert 0.02 < share(change > 0) < 0.07


def test_the_oracle_has_every_inspection_once_with_its_date(sample: Sample) -> None:
    assert sample.oracle.schema == {
        "structure_key": pl.String,
        "survey_year": pl.Int16,
        "inspection_date": pl.Date,
        "fall_probability": pl.Float64,
    }
    assert sample.oracle.select("structure_key", "survey_year").is_unique().all()
    assert sample.oracle["fall_probability"].is_between(0, 1).all()
    joined = sample.inspections
    assert joined["fall_probability"].null_count() == 0
    assert (joined["inspection_date"] == joined["inspection_date_right"]).all()


def test_inspections_fall_as_often_as_the_oracle_says(sample: Sample) -> None:
    # Up to four years before the end, the next inspection is within the horizon, or there is none.
    seen = sample.inspections.filter((pl.col("months_to_next") <= 48) & (pl.col("survey_year") <= 2021))
    probability = seen["fall_probability"].to_numpy()
    fell = (seen["next_condition"] < seen["condition"]).to_numpy()
    assert 0.10 < fell.mean() < 0.14

    def standard_errors(rows: np.ndarray) -> float:
        expected, spread = probability[rows].sum(), np.sqrt((probability[rows] * (1 - probability[rows])).sum())
        return float(abs(fell[rows].sum() - expected) / spread)

    order = np.argsort(probability)
    assert standard_errors(order) < 4
    for decile in np.array_split(order, 10):
        assert standard_errors(decile) < 4
    # The AUC to which the process was tuned: P(a bridge that falls is ranked above one that does not).
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    falls, stays = fell.sum(), (~fell).sum()
    auc = (ranks[fell].sum() - falls * (falls + 1) / 2) / (falls * stays)
    assert 0.74 < auc < 0.81


def test_a_written_sample_is_current_until_anything_about_it_changes(tmp_path: Path) -> None:
    folder, oracle = tmp_path / "files", tmp_path / "oracle.parquet"
    assert not is_current(folder, oracle, SMALL)
    write_sample(folder, oracle, SMALL)
    assert is_current(folder, oracle, SMALL)
    assert not is_current(folder, oracle, SampleSpec(61, 2017, 2020))
    assert not is_current(folder, tmp_path / "elsewhere.parquet", SMALL)

    changed = folder / "NBI_2018.txt"
    whole = changed.read_bytes()
    changed.write_bytes(whole.replace(b"SMP000001", b"SMP999999", 1))
    assert not is_current(folder, oracle, SMALL)
    changed.unlink()
    assert not is_current(folder, oracle, SMALL)
    (folder / "sample.json").write_text("not JSON")
    assert not is_current(folder, oracle, SMALL)
    write_sample(folder, oracle, SMALL)
    assert is_current(folder, oracle, SMALL)
    assert changed.read_bytes() == whole


def test_files_of_an_earlier_sample_are_removed_and_other_files_stay(tmp_path: Path) -> None:
    oracle = tmp_path / "oracle.parquet"
    write_sample(tmp_path, oracle, SMALL)
    (tmp_path / "NBI_2005.txt").write_text("not ours")
    write_sample(tmp_path, oracle, SampleSpec(60, 2019, 2021))
    assert list(content(tmp_path)) == ["NBI_2005.txt", "NBI_2019.txt", "NBI_2020.txt", "NBI_2021.txt"]
    assert (tmp_path / "NBI_2005.txt").read_text() == "not ours"


WRITE = """
import sys
from pathlib import Path
from bridge_assets.nbi.sample import SampleSpec, write_sample
write_sample(Path(sys.argv[1]), Path(sys.argv[2]), SampleSpec(structures=int(sys.argv[3]), seed=5))
"""


def test_a_killed_run_leaves_only_complete_files_and_the_next_run_finishes(tmp_path: Path) -> None:
    folder, oracle, spec = tmp_path / "files", tmp_path / "oracle.parquet", SampleSpec(structures=3000, seed=5)
    run = subprocess.Popen([sys.executable, "-c", WRITE, str(folder), str(oracle), "3000"])
    while run.poll() is None and len(content(folder)) < 3:
        time.sleep(0.005)
    run.kill()
    run.wait()
    left = content(folder)
    assert 3 <= len(left) < len(spec.years)
    assert not oracle.exists()
    assert not is_current(folder, oracle, spec)
    write_sample(folder, oracle, spec)
    assert is_current(folder, oracle, spec)
    assert left.items() <= content(folder).items()


def test_a_full_disk_is_reported_and_leaves_the_previous_files_intact(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    folder, oracle = tmp_path / "files", tmp_path / "oracle.parquet"
    write_sample(folder, oracle, SMALL)
    before = content(folder)
    limit = max(len(text) for text in before.values())
    # A limit on the size of files: writing beyond it fails as on a full disk.
    run = subprocess.run(
        [sys.executable, "-c", WRITE, str(folder), str(oracle), "900"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert f"{StorageError.__name__}: {folder / 'NBI_2006.txt'} was not written" in run.stderr
    assert content(folder) == before
    assert [path.name for path in folder.iterdir() if path.suffix == ".tmp"] == []
    assert not is_current(folder, oracle, SMALL)
