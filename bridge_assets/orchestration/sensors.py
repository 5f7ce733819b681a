"""The sensor that starts a run when a survey file arrives. It is stopped by default, because folders are shared and
runs cost money.
"""

import datetime
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import dagster as dg

from bridge_assets.orchestration.assets.inventory import fhwa_nbi
from bridge_assets.orchestration.partitions import RANGE_END, RANGE_START
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    from bridge_assets.data.ingest.changes import SurveyYearChange
    from bridge_assets.settings import DataSettings

#: Tag of an event with the version of the data that it is about.
DATA_VERSION_TAG = "dagster/data_version"

#: Seconds. FHWA publishes once a year, so polling its server once a day is enough.
FHWA_POLL_SECONDS = 24 * 3600


@dg.sensor(
    job_name="latest_year",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Checks the source for survey files that are new or changed since nbi_files last read them, and requests a run "
        "for what they affect: that survey year and, unless it is the latest, the later years too, because their "
        "features look back on it. Local files are compared by content, files in a bucket by the metadata that the "
        "bucket reports; the sensor polls FHWA once a day for the latest survey year of the catalogue. It downloads "
        "nothing, and trains and deploys nothing. One run per new file version."
    ),
)
def new_survey_file(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
    from bridge_assets.data.ingest.changes import detect_changes
    from bridge_assets.errors import SourceError

    data = platform.data
    if data.source_kind == "fhwa":
        last_poll = float(context.cursor or 0)
        if time.time() - last_poll < FHWA_POLL_SECONDS:
            return dg.SkipReason(f"Polled FHWA at {datetime.datetime.fromtimestamp(last_poll):%Y-%m-%d %H:%M}.")
        context.update_cursor(str(time.time()))
    try:
        new_files, problems = detect_changes(data, platform.lake)
    except SourceError as error:
        return dg.SkipReason(str(error))
    known = _loaded_partition_keys(context)
    problems += [
        f"{', '.join(arrival.file_names)}: survey year {year} has no partition; extend survey_years in "
        "data_config.yaml, or reload the code location"
        for year, arrival in new_files.items()
        if str(year) not in known
    ]
    for problem in problems:
        context.log.warning(problem)
    years = sorted(year for year in new_files if str(year) in known)
    if not years:
        return dg.SkipReason("; ".join(problems) or "No new survey file.")
    last_year = max([*years, *platform.lake.available_years("raw_bridges")])
    content = "-".join(new_files[year].content_digest[:12] for year in years)
    return dg.SensorResult(
        asset_events=_published(context, data, new_files, content),
        run_requests=[
            dg.RunRequest(run_key=f"{years[0]}:{content}", tags={RANGE_START: str(years[0]), RANGE_END: str(last_year)})
            if years[0] != last_year
            else dg.RunRequest(run_key=f"{years[0]}:{content}", partition_key=str(years[0]))
        ],
    )


def _published(
    context: dg.SensorEvaluationContext, data: "DataSettings", new_files: "Mapping[int, SurveyYearChange]", content: str
) -> list[dg.AssetMaterialization]:
    """The new files as an event of fhwa_nbi, once per content; nothing for a generated sample."""
    if data.uses_sample:
        return []
    latest = context.instance.get_latest_materialization_event(fhwa_nbi.key)
    known = latest and latest.asset_materialization and (latest.asset_materialization.tags or {}).get(DATA_VERSION_TAG)
    if known == content:
        return []
    files = [name for year in sorted(new_files) for name in new_files[year].file_names]
    return [
        dg.AssetMaterialization(
            fhwa_nbi.key,
            description=f"Survey years {', '.join(map(str, sorted(new_files)))} are new or changed in the source.",
            metadata={"survey_years": len(new_files), "latest": max(new_files), "files": ", ".join(files[:20])},
            tags={DATA_VERSION_TAG: content},
        )
    ]


def _loaded_partition_keys(context: dg.SensorEvaluationContext) -> list[str]:
    """The partitions as the code location loaded them; runs can be requested only for these."""
    assert context.repository_def is not None
    partitions = context.repository_def.asset_graph.get(dg.AssetKey("nbi_files")).partitions_def
    return list(partitions.get_partition_keys()) if partitions else []
