"""Did the published scores turn out as good as they promised?"""

import dagster as dg

from bridge_assets.orchestration.checks.results import check_result
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.orchestration.resources import Platform


@dg.asset_check(
    asset="realised_quality",
    description=(
        "In every survey year whose outcomes are known by now, the scores that the served model published before are "
        "about as good as its probabilities let one expect: AUC and number of falls, within `realised_quality` in "
        "model_config.yaml and beyond chance. Warns if they are worse. If they are much worse it fails, and the gate "
        "closes for every model that was trained before, until somebody acknowledges it with a reason."
    ),
)
def as_expected(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.deployment.local import LocalEndpoint
    from bridge_assets.drift.realised_quality import JUDGED, MUCH_WORSE, TABLE_NAME, problem_of

    table, served = platform.lake.read(TABLE_NAME), LocalEndpoint(platform.data.endpoint_folder).current()
    rows = table.filter((table["model_version"] == served) & table["verdict"].is_in(JUDGED)).to_dicts()
    much_worse = [row for row in rows if row["verdict"] == MUCH_WORSE]
    settings = platform.model.realised_quality
    problems = [problem for row in reversed(rows) if (problem := problem_of(row, settings))]
    problems += _not_kept(platform, served or "")
    nothing = f"no survey year that model {served} scored before can be judged yet: too few outcomes are known"
    years = f"{rows[0]['survey_year']} to {rows[-1]['survey_year']}" if rows else ""
    judged = Judged(
        about={str(row["survey_year"]): row["model_version"] for row in rows},
        failed_years=tuple(str(row["survey_year"]) for row in much_worse),
    )
    return check_result(
        problems,
        f"{years}: the scores of model {served} turned out as expected" if rows else nothing,
        {
            "survey_years": len(rows),
            "outcomes": sum(row["outcomes"] for row in rows),
            **judged.signed_metadata(context, not problems),
        },
        dg.AssetCheckSeverity.ERROR if much_worse else dg.AssetCheckSeverity.WARN,
    )


def _not_kept(platform: Platform, served: str) -> list[str]:
    """The scores of the served model that are not kept: nobody could say later how good they were."""
    from bridge_assets.scoring.published import unpublished_years

    missing = unpublished_years(platform.lake, served)
    if not missing:
        return []
    return [
        f"the scores of {', '.join(map(str, missing))} by model {served} are not kept as they were published: an "
        "earlier release scored them, or published_scores was changed. What to do: run the job scoring for them"
    ]
