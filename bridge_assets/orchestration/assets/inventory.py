"""From survey files to typed records: fhwa_nbi, nbi_files, raw_bridges and rejected_records."""

from collections.abc import Callable

import dagster as dg

from bridge_assets.data.lake import Lake
from bridge_assets.data.sources.lateness import FHWA_PAGE
from bridge_assets.errors import MissingYearError, MixedOriginError, SourceError
from bridge_assets.orchestration import groups
from bridge_assets.orchestration.failures import user_errors_as_failures
from bridge_assets.orchestration.metadata import display, freshness
from bridge_assets.orchestration.metadata.source_files import source_file_metadata, source_metadata
from bridge_assets.orchestration.partitions import SINGLE_RUN_BACKFILL, SURVEY_YEARS, survey_years
from bridge_assets.orchestration.resources import Platform

#: Columns of raw_bridges that identify a bridge to a reader.
PREVIEW_COLUMNS = [
    "structure_key",
    "FACILITY_CARRIED_007",
    "FEATURES_DESC_006A",
    "YEAR_BUILT_027",
    "ADT_029",
    "condition",
    "condition_class",
    "inspection_date",
]

#: A remote source of which the first survey years all failed is not tried for the others: each may take minutes.
MAX_FAILED_DOWNLOADS = 3

#: Where FHWA publishes the inventory; nothing here builds it. The sensor reports it when it sees a new file.
fhwa_nbi = dg.AssetSpec(
    "fhwa_nbi",
    group_name=groups.INVENTORY,
    owners=display.DATA_OWNERS,
    kinds={"external", "file"},
    metadata={"page": dg.MetadataValue.url(FHWA_PAGE)},
    description=(
        "The National Bridge Inventory as FHWA publishes it: a survey year every year, by mid June, as one national "
        "file and one file per state. External: nbi_files reads it, from FHWA or from copies in a folder or bucket; it "
        "is never built here, and a generated sample does not read it. The sensor new_survey_file records here which "
        "new files it found."
    ),
)


@dg.asset(
    deps=[fhwa_nbi],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
    group_name=groups.INVENTORY,
    owners=display.DATA_OWNERS,
    kinds={"file"},
    freshness_policy=freshness.YEARLY_SOURCE,
    description=(
        "The National Bridge Inventory file of one survey year, or its files of several states, pinned by SHA-256. "
        "Files in a local folder are used in place and never modified; files from a bucket or from FHWA are copied, "
        "and a copy is never replaced: a revised file is kept next to it. A revised file whose records differ is not "
        "used until its digest is listed in fhwa.accept_revised of data_config.yaml. A row is one highway bridge, or "
        f"one route under it. {freshness.SOURCE_IS_STALE}"
    ),
)
def nbi_files(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    data = platform.data
    with user_errors_as_failures():
        _each_year(context, platform, ("nbi_files",), lambda year: _register_year(context, platform, year))
        dvc_metadata = {}
        if platform.dvc.enabled and platform.dvc.raw_files:
            from bridge_assets.data.dvc.versions import version_raw_files

            folders = version_raw_files(data, platform.dvc)
            dvc_metadata = {"dvc_md5": {str(folder): md5 for folder, md5 in folders.items()}}
    return dg.MaterializeResult(metadata={"source": source_metadata(data), **dvc_metadata})


def _register_year(context: dg.AssetExecutionContext, platform: Platform, year: int) -> None:
    """Fix the files of one survey year by their digests."""
    from bridge_assets.data.ingest.revisions import register
    from bridge_assets.data.origin import refuse_mix
    from bridge_assets.data.sources.acquire import acquire_survey_year

    source = acquire_survey_year(platform.data, year, context.log.info)
    refuse_mix(platform.lake, platform.data, source)
    found = register(platform.lake, platform.data, source)
    for warning in (*source.warnings, *([found.message] if found.message else [])):
        context.log.warning(warning)
    platform.lake.write_provenance("nbi_files", year, found.provenance)
    context.add_asset_metadata(
        source_file_metadata(found.source, found.message), asset_key="nbi_files", partition_key=str(year)
    )


def _each_year(
    context: dg.AssetExecutionContext, platform: Platform, assets: tuple[str, ...], act: Callable[[int], None]
) -> None:
    """Do something for each survey year of the run. A year that cannot be read is recorded for the check
    every_year_readable, and the others go on; if none of them can be read, the first error is raised.
    """
    from bridge_assets.data.ingest.unreadable import clear_unreadable, find_unreadable, record_unreadable

    lake, run_id, years = platform.lake, context.run.run_id, survey_years(context)
    errors: dict[int, SourceError] = {}
    for tried, year in enumerate(years, start=1):
        known = find_unreadable(lake, year)
        if known and known["run_id"] == run_id:  # nbi_files met it in this run
            errors[year] = SourceError(known["message"])
            continue
        try:
            act(year)
        except MixedOriginError:  # concerns every year
            raise
        except SourceError as error:
            errors[year] = error
            message = record_unreadable(lake, year, error, run_id, assets[0])["message"]
            context.log.error(f"survey year {year} cannot be read: {message}")
            for asset in assets:
                context.add_asset_metadata({"cannot_be_read": message}, asset_key=asset, partition_key=str(year))
            is_far = platform.data.source_kind in ("fhwa", "remote") and not isinstance(error, MissingYearError)
            if is_far and len(errors) == tried == MAX_FAILED_DOWNLOADS:
                raise
        else:
            if known and known["stage"] in assets:
                clear_unreadable(lake, year)
    if len(errors) == len(years):
        raise errors[years[0]]


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "raw_bridges",
            deps=[nbi_files],
            group_name=groups.INVENTORY,
            owners=display.DATA_OWNERS,
            kinds={"polars", "parquet"},
            description=(
                "One row per row of the survey year's file, typed: codes as text, numbers as numbers, plus the "
                "structure key, condition, condition class, position and inspection date. Every year has the same "
                "columns, whatever its layout."
            ),
        ),
        dg.AssetSpec(
            "rejected_records",
            deps=[nbi_files],
            group_name=groups.INVENTORY,
            owners=display.DATA_OWNERS,
            kinds={"polars", "parquet"},
            description=(
                "One row per row of the survey year's file that could not be loaded, with its line number, reason code "
                "and text. Rows read = raw_bridges + rejected_records, for every file."
            ),
        ),
    ],
    partitions_def=SURVEY_YEARS,
    backfill_policy=SINGLE_RUN_BACKFILL,
)
def load_records(context: dg.AssetExecutionContext, platform: Platform):
    lake = platform.lake
    with user_errors_as_failures():
        _each_year(context, platform, ("raw_bridges", "rejected_records"), lambda year: _load_year(context, lake, year))
    yield dg.MaterializeResult("raw_bridges", metadata={"folder": display.path_metadata(lake.folder / "raw_bridges")})
    yield dg.MaterializeResult(
        "rejected_records", metadata={"folder": display.path_metadata(lake.folder / "rejected_records")}
    )


def _load_year(context: dg.AssetExecutionContext, lake: Lake, year: int) -> None:
    """Ingest one survey year and show its counts; keep its records if a revised file waits for acceptance."""
    from dataclasses import asdict

    import polars as pl

    from bridge_assets.data.ingest.ingest import ingest
    from bridge_assets.data.ingest.revisions import files_to_ingest
    from bridge_assets.data.origin import IS_SAMPLE, holds_sample

    loaded, rejected = lake.year_path("raw_bridges", year), lake.year_path("rejected_records", year)
    parts = files_to_ingest(lake, year)
    if parts is None:
        context.log.warning(f"{year}: a revised file waits for acceptance; the records of the earlier file are kept")
        report = lake.provenance("raw_bridges", year)
    else:
        with lake.writing():
            counts = asdict(ingest(parts, year, loaded, rejected))
        report = lake.write_provenance(
            "raw_bridges",
            year,
            {
                **counts,
                "source_sha256": lake.provenance("nbi_files", year)["sha256"],
                IS_SAMPLE: holds_sample(loaded),
            },
        )
        context.log.info(
            f"{year}: {report['rows_read']:,} rows read = {report['loaded']:,} loaded + {report['rejected']:,} "
            f"rejected ({', '.join(report['files'][:5])})"
        )
    warnings = report.get("warnings", ())
    for warning in warnings:
        context.log.warning(f"{year}: {warning}")
    context.add_asset_metadata(
        {
            "dagster/partition_row_count": report["loaded"],
            **({"warnings": "; ".join(warnings)} if warnings else {}),
            "rows_read": report["rows_read"],
            "rejected": report["rejected"],
            "unparsed": report["unparsed"],
            "layout": ", ".join(report["layouts"]),
            "preview": display.preview(pl.read_parquet(loaded, n_rows=6).select(PREVIEW_COLUMNS)),
        },
        asset_key="raw_bridges",
        partition_key=str(year),
    )
    rejects = pl.read_parquet(rejected)
    context.add_asset_metadata(
        {
            "dagster/partition_row_count": report["rejected"],
            "by_reason": report["rejected_by_reason"],
            "preview": display.preview(rejects.select("file", "line_number", "reason", "detail", "line")),
        },
        asset_key="rejected_records",
        partition_key=str(year),
    )
