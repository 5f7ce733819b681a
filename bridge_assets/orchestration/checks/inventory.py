"""Checks of survey files and records: is every row accounted for, and is it bridge data?"""

import dagster as dg

from bridge_assets.data.lake import Lake
from bridge_assets.errors import BridgeAssetsError, error_summary
from bridge_assets.orchestration.checks.results import check_result, judged_result
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.orchestration.partitions import years_of_check_run
from bridge_assets.orchestration.resources import Platform

#: The checks on raw_bridges that a training set relies on.
REQUIRED_RAW_CHECKS = ("rows_reconcile", "schema_matches")

#: A larger share of rejected rows deserves a look. In the 34 national files it is 1 row in 22 million.
MAX_REJECTED_SHARE = 0.01


@dg.asset_check(
    asset="raw_bridges",
    additional_deps=["rejected_records"],
    blocking=True,
    description=(
        "A recount of the source file's rows equals raw_bridges + rejected_records; at least one was loaded. Of a file "
        "whose revision waits for acceptance, the rows counted when it was read are compared."
    ),
)
def rows_reconcile(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    lake, problems, digests, failed = platform.lake, [], {}, []
    rows_read = rows_loaded = rows_rejected = 0
    for year in _run_years(context, platform):
        try:
            digests[str(year)] = lake.digest("raw_bridges", year)
            rows, loaded, rejected = _counts(platform, year)
            files = ", ".join(lake.provenance("raw_bridges", year)["files"][:5])
        except (BridgeAssetsError, OSError) as error:  # a file is gone or damaged: the other years can still be judged
            problems.append(f"{year}: the rows cannot be counted: {error_summary(error)}")
            failed.append(str(year))
            continue
        rows_read, rows_loaded, rows_rejected = rows_read + rows, rows_loaded + loaded, rows_rejected + rejected
        if rows != loaded + rejected:
            problems.append(f"{year}: {files}: {rows} rows, but {loaded} were loaded and {rejected} rejected")
        elif loaded == 0:
            problems.append(f"{year}: {files}: no row was loaded ({rejected} rejected)")
        else:
            continue
        failed.append(str(year))
    figures = {"survey_years": len(digests), "rows": rows_read, "loaded": rows_loaded, "rejected": rows_rejected}
    judged = Judged(digests, failed_years=tuple(failed))
    return judged_result(context, judged, problems, f"{len(digests)} survey years reconcile", **figures)


@dg.asset_check(
    asset="raw_bridges",
    blocking=True,
    description="Columns and types match the schema, every record has a structure key, every rating is valid.",
)
def schema_matches(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    import polars as pl

    from bridge_assets.data.records.bridges import BRIDGE_SCHEMA
    from bridge_assets.data.records.validation import VALIDATED_COLUMNS, record_problems

    lake, problems, digests, failed = platform.lake, [], {}, []
    for year in _run_years(context, platform):
        before = len(problems)
        digests[str(year)] = lake.digest("raw_bridges", year)
        schema = pl.read_parquet_schema(lake.year_path("raw_bridges", year))
        if differing := {name for name, _ in schema.items() ^ BRIDGE_SCHEMA.items()}:
            problems.append(f"{year}: columns or types differ from the schema: {', '.join(sorted(differing)[:8])}")
        else:
            judged_columns = lake.scan_year("raw_bridges", year).select(VALIDATED_COLUMNS).collect()
            problems += [f"{year}: {problem}" for problem in record_problems(judged_columns)]
        if len(problems) > before:
            failed.append(str(year))
    figures = {"survey_years": len(digests), "columns": len(BRIDGE_SCHEMA)}
    passed_message = f"{len(digests)} survey years have the {len(BRIDGE_SCHEMA)} columns"
    return judged_result(context, Judged(digests, failed_years=tuple(failed)), problems, passed_message, **figures)


@dg.asset_check(
    asset="raw_bridges",
    blocking=True,
    description=(
        "Records stand for structures (item 5A, record type 1), and not far fewer than in the survey year before, in "
        "all states together and in each large one: at least the share structures_min_share of data_config.yaml."
    ),
)
def structures_present(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.data.records.on_structure import count_record_types, structure_problems

    lake, min_share, problems = platform.lake, platform.data.structures_min_share, []
    loaded, counts = lake.available_years("raw_bridges"), {}
    years = _run_years(context, platform)
    for year in sorted({year for run_year in years for year in (run_year, run_year - 1)} & set(loaded)):
        counts[year] = count_record_types(lake.scan_year("raw_bridges", year))
    for year in years:
        found = structure_problems(counts[year], counts.get(year - 1), min_share)
        problems += [f"{year}: {problem}" for problem in found]
    if problems:
        problems.append(
            "What to do: correct the file (the record of a bridge has 1 in RECORD_TYPE_005A; a table of your own may "
            "lack the column, then every record counts as a structure), or, if the structures are really gone, lower "
            "structures_min_share in data_config.yaml"
        )
    structures = sum(sum(counts[year].structures.values()) for year in years)
    records = sum(sum(counts[year].records.values()) for year in years)
    figures = {"survey_years": len(years), "records": records, "structures": structures}
    return check_result(problems, f"{structures:,} of {records:,} records stand for a structure", figures)


@dg.asset_check(
    asset="raw_bridges",
    description=(
        "Nothing had to be assumed to read the files, such as that every record of a table without item 5A stands for "
        "a structure, or that an unknown column at the end may be left out. Warns only."
    ),
)
def read_without_assumptions(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    years = _run_years(context, platform)
    problems = [
        f"{year}: {warning}"
        for year in years
        for warning in platform.lake.provenance("raw_bridges", year).get("warnings", ())
    ]
    figures = {"survey_years": len(years), "assumptions": len(problems)}
    return check_result(problems, "nothing had to be assumed", figures, dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    asset="nbi_files",
    description=(
        "A national file has as many rows as the catalogue in data_config.yaml says. Warns only: FHWA revises files."
    ),
)
def row_count_matches_fhwa(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    problems, compared = [], 0
    for year in _run_years(context, platform):
        if (expected := platform.lake.provenance("nbi_files", year)["expected_rows"]) is not None:
            rows = _rows_in_source(platform.lake, year)
            compared += 1
            if rows != expected:
                problems.append(f"{year}: {rows:,} rows, {expected:,} expected")
    passed_message = f"{compared} national files have as many rows as the catalogue says"
    return check_result(problems, passed_message, {"files_compared": compared}, dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    asset="rejected_records",
    description=f"At most {MAX_REJECTED_SHARE:.0%} of a file's rows were rejected. Warns only.",
)
def low_rejection_rate(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    problems, rejected, read, highest = [], 0, 0, 0.0
    for year in _run_years(context, platform):
        report = platform.lake.provenance("raw_bridges", year)
        rejected, read = rejected + report["rejected"], read + report["rows_read"]
        highest = max(highest, report["rejected"] / max(report["rows_read"], 1))
        if report["rejected"] > MAX_REJECTED_SHARE * report["rows_read"]:
            problems.append(
                f"{year}: {report['rejected']} of {report['rows_read']} rows, by reason {report['rejected_by_reason']}"
            )
    figures = {"rejected": rejected, "rejection_rate": rejected / max(read, 1), "highest_rate_of_a_year": highest}
    return check_result(problems, f"{rejected} rows were rejected in all", figures, dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    asset="raw_bridges",
    description=(
        "The computed condition class equals the one that FHWA published (BRIDGE_CONDITION, CAT10), wherever the file "
        "contains it. Warns only."
    ),
)
def condition_class_matches_fhwa(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    import polars as pl

    problems, compared, all_differing = [], 0, 0
    for year in _run_years(context, platform):
        published = (
            pl.scan_parquet(platform.lake.year_path("raw_bridges", year))
            .filter(pl.col("on_structure") & pl.col("BRIDGE_CONDITION").is_in(["G", "F", "P"]))
            .select(agrees=pl.col("condition_class").str.slice(0, 1) == pl.col("BRIDGE_CONDITION"))
            .collect()
        )
        compared += published.height
        if differing := published.height - int(published["agrees"].sum()):
            all_differing += differing
            problems.append(f"{year}: {differing} of {published.height} bridges")
    figures = {"compared": compared, "differing": all_differing, "share_differing": all_differing / max(compared, 1)}
    return check_result(problems, f"{compared:,} bridges compared", figures, dg.AssetCheckSeverity.WARN)


def _run_years(context: dg.AssetCheckExecutionContext, platform: Platform) -> list[int]:
    """The survey years of this run; every year that has records if the check was launched without partitions. A year
    that cannot be read is left to `every_year_readable`: there is nothing new to judge.
    """
    from bridge_assets.data.ingest.unreadable import unreadable_years

    years = years_of_check_run(context) or platform.lake.available_years("raw_bridges")
    unreadable = unreadable_years(platform.lake)
    return [year for year in years if year not in unreadable]


def _counts(platform: Platform, survey_year: int) -> tuple[int, int, int]:
    """Rows in the source, loaded and rejected."""
    import polars as pl

    lake = platform.lake
    loaded, rejected = (
        pl.scan_parquet(lake.year_path(table, survey_year)).select(pl.len()).collect().item()
        for table in ("raw_bridges", "rejected_records")
    )
    return _rows_in_source(lake, survey_year), loaded, rejected


def _rows_in_source(lake: Lake, survey_year: int) -> int:
    """A recount of the rows in the files that nbi_files recorded; the rows counted when they were read, if a revised
    file that is not accepted took their place.
    """
    from bridge_assets.data.ingest.revisions import earlier_file_is_gone
    from bridge_assets.data.reading.formats import count_rows
    from bridge_assets.data.sources.survey_files import source_files_from_provenance

    if earlier_file_is_gone(lake, survey_year):
        return lake.provenance("raw_bridges", survey_year)["rows_read"]
    parts = source_files_from_provenance(lake.provenance("nbi_files", survey_year))
    return sum(count_rows(part.path, survey_year) for part in parts)
