"""What happens by itself when a file arrives. Stopped until someone starts it: a folder is shared, a run is not
free.
"""

import dagster as dg

from bridge_assets.orchestration.jobs import LATEST_YEAR
from bridge_assets.orchestration.partitions import SURVEY_YEARS
from bridge_assets.orchestration.resources import Platform

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@dg.sensor(
    job=LATEST_YEAR,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=(
        "Looks into the source folder for survey files that are new or whose bytes changed since nbi_files saw them, "
        "and requests what they affect: that survey year, and the later ones too where it is not the latest, since "
        "their features look back on it. Nothing is trained or deployed. One request a file and content."
    ),
)
def new_survey_file(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
    from bridge_assets.data.arrivals import arrivals
    from bridge_assets.nbi.errors import SourceError

    try:
        arrived, problems = arrivals(platform.data.source_folder, platform.lake)
    except SourceError as error:
        return dg.SkipReason(str(error))
    known = SURVEY_YEARS.get_partition_keys()
    problems += [
        f"{file.path.name}: survey year {year} has no partition; see survey_years in data_config.yaml, or reload the "
        "code location"
        for year, file in arrived.items()
        if str(year) not in known
    ]
    for problem in problems:
        context.log.warning(problem)
    years = sorted(year for year in arrived if str(year) in known)
    if not years:
        return dg.SkipReason("; ".join(problems) or "No new survey file.")
    seen = max([*years, *platform.lake.years("raw_bridges")])
    content = "-".join(arrived[year].sha256[:12] for year in years)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"{years[0]}:{content}", tags={RANGE_START: str(years[0]), RANGE_END: str(seen)})
            if years[0] != seen
            else dg.RunRequest(run_key=f"{years[0]}:{content}", partition_key=str(years[0]))
        ]
    )
