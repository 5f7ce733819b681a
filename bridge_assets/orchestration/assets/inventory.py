"""From survey files to typed records: nbi_files, raw_bridges and rejected_records."""

from pathlib import Path

import dagster as dg

from bridge_assets.orchestration import display, groups
from bridge_assets.orchestration.failures import explained
from bridge_assets.orchestration.partitions import ALL_YEARS_IN_ONE_RUN, SURVEY_YEARS, survey_years
from bridge_assets.orchestration.resources import Platform

#: The columns of raw_bridges that a person recognises a bridge by.
RECOGNISED_BY = [
    "structure_key",
    "FACILITY_CARRIED_007",
    "FEATURES_DESC_006A",
    "YEAR_BUILT_027",
    "ADT_029",
    "condition",
    "condition_class",
    "inspection_date",
]


@dg.asset(
    partitions_def=SURVEY_YEARS,
    backfill_policy=ALL_YEARS_IN_ONE_RUN,
    group_name=groups.INVENTORY,
    owners=display.OWNERS_OF_DATA,
    kinds={"file"},
    description=(
        "One survey year's file of the National Bridge Inventory in the source folder, fixed by its SHA-256. The file "
        "itself stays where it is and as it is. A row of it is one highway bridge, or one route under it."
    ),
)
def nbi_files(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult:
    from bridge_assets.data.sources import survey_file

    with explained():
        for year in survey_years(context):
            file = survey_file(platform.data.source_folder, year)
            note = {"path": str(file.path), "sha256": file.sha256, "bytes": file.bytes}
            platform.lake.write_note("nbi_files", year, note)
            context.add_asset_metadata(
                {"file": display.file(file.path), "sha256": file.sha256, "megabytes": round(file.bytes / 1e6, 3)},
                asset_key="nbi_files",
                partition_key=str(year),
            )
    return dg.MaterializeResult(metadata={"source": display.file(platform.data.source_folder)})


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "raw_bridges",
            deps=[nbi_files],
            group_name=groups.INVENTORY,
            owners=display.OWNERS_OF_DATA,
            kinds={"polars", "parquet"},
            description=(
                "One row of a survey year's file, typed: codes as text, numbers as numbers, and beside them the "
                "structure key, condition, class, position and inspection date. The same columns for every year, "
                "whatever its layout."
            ),
            metadata={"dagster/column_schema": display.bridge_columns()},
        ),
        dg.AssetSpec(
            "rejected_records",
            deps=[nbi_files],
            group_name=groups.INVENTORY,
            owners=display.OWNERS_OF_DATA,
            kinds={"polars", "parquet"},
            description=(
                "One row of a survey year's file that was not loaded, with its line number, reason code and text. "
                "Rows read = raw_bridges + rejected_records, for every file, always."
            ),
        ),
    ],
    partitions_def=SURVEY_YEARS,
    backfill_policy=ALL_YEARS_IN_ONE_RUN,
)
def records(context: dg.AssetExecutionContext, platform: Platform):
    from dataclasses import asdict

    import polars as pl

    from bridge_assets.data.ingestion import ingest
    from bridge_assets.data.sources import unchanged

    lake = platform.lake
    with explained():
        for year in survey_years(context):
            source = lake.note("nbi_files", year)
            path = unchanged(Path(source["path"]), source["sha256"])
            loaded, rejected = lake.year("raw_bridges", year), lake.year("rejected_records", year)
            report = ingest(path, year, loaded, rejected)
            lake.write_note("raw_bridges", year, {**asdict(report), "source_sha256": source["sha256"]})
            context.log.info(
                f"{year}: {report.rows_read:,} rows read = {report.loaded:,} loaded + {report.rejected:,} rejected "
                f"({report.file})"
            )
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": report.loaded,
                    "rows_read": report.rows_read,
                    "rejected": report.rejected,
                    "unparsed": report.unparsed,
                    "layout": report.layout,
                    "preview": display.preview(pl.read_parquet(loaded, n_rows=6).select(RECOGNISED_BY)),
                },
                asset_key="raw_bridges",
                partition_key=str(year),
            )
            rejects = pl.read_parquet(rejected)
            context.add_asset_metadata(
                {
                    "dagster/partition_row_count": report.rejected,
                    "by_reason": report.rejected_by_reason,
                    "preview": display.preview(rejects.select("file", "line_number", "reason", "detail", "line")),
                },
                asset_key="rejected_records",
                partition_key=str(year),
            )
    yield dg.MaterializeResult("raw_bridges", metadata={"folder": display.file(lake.folder / "raw_bridges")})
    yield dg.MaterializeResult("rejected_records", metadata={"folder": display.file(lake.folder / "rejected_records")})
