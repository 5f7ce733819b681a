"""Does a survey year still look like the years that the model learned from, and do the states code as before?"""

from typing import TYPE_CHECKING, Any

import dagster as dg

from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.orchestration.partitions import years_of_check_run
from bridge_assets.orchestration.resources import Platform

if TYPE_CHECKING:
    from bridge_assets.drift.summary import DriftSummary

#: Features, states or columns that a description names; the others are in the metadata and on the page.
MAX_NAMED = 6

_WARN, _ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@dg.asset_check(
    asset="drift_report",
    description=(
        "In the last analysed survey year of the run, no feature is further from the reference years than these let "
        "one expect, in all states together or in one of them. A feature that moved because states recoded an item "
        "does not count: `codes_as_before` names those. Only warns: a reason to investigate, and perhaps to retrain."
    ),
)
def features_within_limits(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.orchestration.metadata.drift import preview_rows

    summary = _last_analysed(context, platform)
    if summary is None:
        return _nothing_to_judge()
    year, national = summary.survey_year, summary.drifted_features
    local = [row for row in summary.drifted_in_states if not row["cause"]]
    unexplained = [row for row in national if not row["cause"]]
    parts = []
    if unexplained:
        parts.append(f"{_counted(len(unexplained), 'feature')} drifted in all states together: {_named(unexplained)}")
    if local:
        parts.append(f"{_counted(len(local), 'feature and state pair')} drifted in a state only: {_named(local)}")
    if explained := len(national) - len(unexplained):
        parts.append(f"{_counted(explained, 'more feature')} moved because states recoded items (codes_as_before)")
    failed = bool(unexplained or local)
    remedy = (
        f"open the page of {year} to see both distributions. If the file is right, train again with recent years; if "
        "not, correct the source and build the year again"
    )
    passed_message = f"{year}: all features are as in the reference years"
    return dg.AssetCheckResult(
        passed=not failed,
        severity=_WARN,
        description=_sentence(year, parts, remedy) if failed else "; ".join([passed_message, *parts]),
        metadata={**_common(summary), **({"list": preview_rows([*national, *local])} if national or local else {})},
    )


@dg.asset_check(
    asset="drift_report",
    description=(
        "In the last analysed survey year of the run, the predictions of all states together are distributed as in the "
        "reference years: warns beyond `least` and `margin`, an ERROR beyond `error_least` and `error_margin` "
        "(model_config.yaml, drift)."
    ),
)
def predictions_within_limits(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.drift.limits import KS

    summary = _last_analysed(context, platform)
    if summary is None:
        return _nothing_to_judge()
    year = summary.survey_year
    if summary.predictions_skipped:
        return dg.AssetCheckResult(
            passed=False,
            severity=_WARN,
            description=_sentence(
                year,
                [f"the predictions were not compared: {summary.predictions_skipped}"],
                f"materialise bridge_predictions for {year} and for the reference years, then drift_report for {year}",
            ),
            metadata=_common(summary),
        )
    # Without a value: fewer predictions than `state_rows`, in the year or in the reference.
    rows = [row for row in summary.predictions.values() if row["value"] is not None and row["threshold"] is not None]
    if not any(row["measure"] == KS for row in rows):
        return dg.AssetCheckResult(
            passed=False,
            severity=_WARN,
            description=_sentence(
                year,
                [f"the predictions were not compared: too few bridges (drift.state_rows is {_state_rows(platform)})"],
                "look at the page of the year; with so few bridges, chance alone moves the predictions",
            ),
            metadata=_common(summary),
        )
    beyond = [row for row in rows if row["drifted"]]
    errors = [row for row in beyond if abs(row["value"]) > row["error_threshold"]]
    shown = errors or beyond or rows
    parts = [f"{_measure_name(row)} {row['value']:.3f}, limit {row[_limit_of(row, errors)]:.3f}" for row in shown]
    means = next((row for row in rows if None not in (row["reference_mean"], row["year_mean"])), None)
    if means:
        parts.append(f"mean prediction {means['year_mean']:.3f}, {means['reference_mean']:.3f} in the reference years")
    if recoded := next((row["cause"] for row in beyond if row["cause"]), ""):
        parts.append(f"the drift comes from states that {recoded.replace(': ', ' items: ', 1)}")
    remedy = (
        "open the page of the year, find out what moved (features_within_limits, codes_as_before), and train again or "
        "correct the source" + ("; until then no model that was trained before is deployed" if errors else "")
    )
    return dg.AssetCheckResult(
        passed=not beyond,
        severity=_ERROR if errors else _WARN,
        description=_sentence(year, parts, remedy) if beyond else f"{year}: {'; '.join(parts)}",
        metadata={
            **_common(summary),
            "beyond_error_limit": len(errors),
            # For the gate, which an ERROR closes (`orchestration.gate.alarms`).
            **Judged({str(year): summary.model_version}).signed_metadata(context, not beyond),
        },
    )


@dg.asset_check(
    asset="drift_report",
    description=(
        "In the analysed survey years of the run no state recoded an item: codes did not move on bridges that nobody "
        "inspected anew, nor change on nearly all bridges of a state at once. And no coded item is distributed "
        "otherwise than the reference years let one expect. Only warns."
    ),
)
def codes_as_before(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.orchestration.metadata.drift import preview_rows

    summaries = _analysed(context, platform)
    if not summaries:
        return _nothing_to_judge()
    parts, listed = [], []
    for summary in summaries:
        parts += _recodings(summary)
        moved = [row for row in summary.drifted_codes if not row["cause"]]
        if moved:
            parts.append(f"{summary.survey_year}: codes differ from the reference years: {_named(moved)}")
        listed += [row for rows in summary.recoded.values() for row in rows] + moved
    last = summaries[-1]
    remedy = (
        "ask the state what changed. A change of the coding is no deterioration: map the old codes to the new ones, or "
        "leave the item out of the features until enough years have the new codes"
    )
    return dg.AssetCheckResult(
        passed=not parts,
        severity=_WARN,
        description=_with_remedy(parts, remedy)
        if parts
        else f"{_years_text(summaries)}: no state recoded an item, and codes are as in the reference years",
        metadata={**_common(last), **({"list": preview_rows(listed)} if listed else {})},
    )


@dg.asset_check(
    asset="drift_report",
    description=(
        "The records of the analysed survey years of the run have the columns, types and codes of the reference years, "
        "apart from items that the published layouts gained or lost. Only warns."
    ),
)
def schema_as_before(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    from bridge_assets.reporting.drift.wording import describe_schema_change

    summaries = _analysed(context, platform)
    if not summaries:
        return _nothing_to_judge()
    parts = []
    for summary in summaries:
        if changes := summary.schema_changes:
            named = "; ".join(describe_schema_change(row) for row in changes[:MAX_NAMED])
            more = f"; and {len(changes) - MAX_NAMED} more" if len(changes) > MAX_NAMED else ""
            parts.append(f"{summary.survey_year}: {named}{more}")
    remedy = "compare the file of the year with that of the year before, and tell the state or FHWA if it is a mistake"
    return dg.AssetCheckResult(
        passed=not parts,
        severity=_WARN,
        description=_with_remedy(parts, remedy)
        if parts
        else f"{_years_text(summaries)}: columns, types and codes are as in the reference years",
        metadata=_common(summaries[-1]),
    )


def _analysed(context: dg.AssetCheckExecutionContext, platform: Platform) -> list["DriftSummary"]:
    """The reports of the analysis period, of the years of this run; of all years if it was launched without any."""
    from bridge_assets.drift.periods import ANALYSIS
    from bridge_assets.drift.summary import TABLE_NAME, DriftSummary, readable_years

    available = readable_years(platform.lake)
    years = [year for year in years_of_check_run(context) if year in available] or available
    summaries = [DriftSummary(platform.lake.read_year(TABLE_NAME, year)) for year in years]
    return [summary for summary in summaries if summary.period == ANALYSIS]


def _last_analysed(context: dg.AssetCheckExecutionContext, platform: Platform) -> "DriftSummary | None":
    return next(reversed(_analysed(context, platform)), None)


def _nothing_to_judge() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=True,
        severity=_WARN,
        description="No year of this run is in the analysis period: there is nothing to judge",
        metadata={"drifted": 0},
    )


def _common(summary: "DriftSummary") -> dict[str, Any]:
    return {
        "survey_year": summary.survey_year,
        "model_version": summary.model_version,
        **summary.figures(),
    }


def _recodings(summary: "DriftSummary") -> list[str]:
    from bridge_assets.drift.recoding import FIRST_SNBI_YEAR
    from bridge_assets.reporting.wording import state

    year, texts = summary.survey_year, []
    for item in summary.recoded_nationwide:
        guide = "the transition to the SNBI" if year >= FIRST_SNBI_YEAR else "a change of the coding guide"
        texts.append(f"{year}: {item} was recoded in {len(summary.recoded[item])} states: {guide}")
    for item, rows in summary.recoded.items():
        if item in summary.recoded_nationwide:
            continue
        states = "; ".join(
            f"{state(row['state'])} ({row['state']}) recoded {item}: {row['cause'].removeprefix('recoded: ')}"
            for row in rows[:MAX_NAMED]
        )
        more = f"; and {len(rows) - MAX_NAMED} more states" if len(rows) > MAX_NAMED else ""
        texts.append(f"{year}: {states}{more}")
    return texts


def _state_rows(platform: Platform) -> int:
    return platform.model.drift.state_rows


def _limit_of(row: dict[str, Any], errors: list[dict[str, Any]]) -> str:
    return "error_threshold" if row in errors else "threshold"


def _named(rows: list[dict[str, Any]]) -> str:
    from bridge_assets.drift.numbers import ALL_STATES
    from bridge_assets.reporting.wording import state

    texts = []
    for row in rows[:MAX_NAMED]:
        where = "" if row["state"] == ALL_STATES else f" in {state(row['state'])}"
        texts.append(f"{row['feature']}{where} ({_measure_name(row)} {row['value']:.3f}, limit {row['threshold']:.3f})")
    more = f" and {len(rows) - MAX_NAMED} more" if len(rows) > MAX_NAMED else ""
    return ", ".join(texts) + more


def _measure_name(row: dict[str, Any]) -> str:
    from bridge_assets.reporting.drift.wording import MEASURE_NAMES

    return MEASURE_NAMES[row["measure"]]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _sentence(year: int, parts: list[str], remedy: str) -> str:
    return _with_remedy([f"{year}: {parts[0]}", *parts[1:]], remedy)


def _with_remedy(parts: list[str], remedy: str) -> str:
    return f"{'; '.join(parts)}. What to do: {remedy}"


def _years_text(summaries: list["DriftSummary"]) -> str:
    first, last = summaries[0].survey_year, summaries[-1].survey_year
    return str(last) if first == last else f"{first} to {last}"
