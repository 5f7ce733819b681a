"""How an event reads in Slack: what, the numbers, whose it is, what to do, and where to look."""

from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg

from bridge_assets.alerting.message import Message
from bridge_assets.orchestration.alerts.events import AlertEvent, CheckEvent, FailedRun
from bridge_assets.orchestration.alerts.ticks import TickEvent

#: Characters of a check's description or of an error, so that the rest of the message has room in Slack's 3,000.
_MAX_DETAIL = 1500

#: Figures of a check's metadata that a message lists.
_MAX_FIGURES = 12


def message_of(event: AlertEvent | TickEvent, owners: Sequence[str], variable: str, ui_address: str) -> Message:
    """The message about an event. The same event gives the same key.

    Parameters
    ----------
    event : CheckEvent, FailedRun or TickEvent
    owners : sequence of str
        Of the asset.
    variable : str
        Environment variable of the destination.
    ui_address : str
        Of the Dagster UI; empty = no links.
    """
    if isinstance(event, FailedRun):
        return _run_message(event, owners, variable, ui_address)
    if isinstance(event, TickEvent):
        return _tick_message(event, variable, ui_address)
    return _check_message(event, owners, variable, ui_address)


def _check_message(event: CheckEvent, owners: Sequence[str], variable: str, ui_address: str) -> Message:
    evaluation, asset = event.evaluation, event.evaluation.asset_key.to_user_string()
    if evaluation.passed:
        kind, summary = "check_recovered", f"Check passes again: {event.name}"
        lines = [f"{summary}. It had failed since {_clock(event.failing_since)}."]
    else:
        kind = "check_failed"
        still = f" It has failed since {_clock(event.failing_since)}." if event.failing_since else ""
        summary = f"Check {'still fails' if still else 'failed'}: {event.name}"
        lines = [f"{summary}.{still}"]
    if evaluation.description:
        lines.append(_shortened(evaluation.description))
    if figures := _figures(evaluation):
        lines.append(figures)
    if not evaluation.passed:
        if evaluation.blocking:
            lines.append("The check is blocking: what depends on the asset did not run in this run.")
        partition = f" for {event.partition}" if event.partition else ""
        lines.append(f"What to do: correct what the check found, then materialize {asset}{partition} again.")
    lines += _footer(event.run, owners, ui_address)
    if ui_address:
        path = "/".join(evaluation.asset_key.path)
        lines.append(f"Check: {ui_address}/assets/{path}?view=checks&checkDetail={evaluation.check_name}")
    return Message(f"{kind}:{event.run.run_id}:{event.name}", summary, "\n".join(lines), variable)


def _run_message(event: FailedRun, owners: Sequence[str], variable: str, ui_address: str) -> Message:
    run = event.run
    attempts = f" after {event.attempts} attempts" if event.attempts > 1 else ""
    step = f" in {event.step}" if event.step else ""
    summary = f"Run failed{attempts}: {run.job_name}{step}"
    lines = [f"{summary}.", _shortened(event.error)]
    if "What to do:" not in event.error:
        lines.append("What to do: correct the cause, then run it again from the failure in the UI.")
    lines += _footer(run, owners, ui_address)
    return Message(
        f"run_failed:{run.run_id}", f"{summary}: {event.error.partition(chr(10))[0]}", "\n".join(lines), variable
    )


def _tick_message(event: TickEvent, variable: str, ui_address: str) -> Message:
    if event.error:
        kind, summary = "tick_failed", f"The {event.kind} {event.name} fails"
        lines = [f"{summary}: it requests no runs.", _shortened(event.error)]
        lines.append("What to do: correct the cause; the ticks are on its page in the UI, under Automation.")
    else:
        kind, summary = "tick_recovered", f"The {event.kind} {event.name} works again"
        lines = [f"{summary}. Its failure was reported at {_clock(event.failing_since)}."]
    if ui_address:
        lines.append(f"All sensors and schedules: {ui_address}/automation")
    return Message(f"{kind}:{event.name}:{event.series}", summary, "\n".join(lines), variable)


def _footer(run: dg.DagsterRun, owners: Sequence[str], ui_address: str) -> list[str]:
    owner = [f"Owner: {', '.join(owners)}"] if owners else []
    return [*owner, f"Run: {ui_address}/runs/{run.run_id}" if ui_address else f"Run: {run.run_id} ({run.job_name})"]


def _figures(evaluation: dg.AssetCheckEvaluation) -> str:
    """The numbers of the metadata, such as `problems: 3, rows: 620,000`."""
    figures = []
    for name, value in evaluation.metadata.items():
        if isinstance(value, dg.IntMetadataValue) and value.value is not None:
            figures.append(f"{name}: {value.value:,}")
        elif isinstance(value, dg.FloatMetadataValue) and value.value is not None:
            figures.append(f"{name}: {value.value:.4g}")
    more = f", and {len(figures) - _MAX_FIGURES} more" if len(figures) > _MAX_FIGURES else ""
    return ", ".join(figures[:_MAX_FIGURES]) + more


def _shortened(text: str) -> str:
    cut = len(text) - _MAX_DETAIL
    return f"{text[:_MAX_DETAIL]}… ({cut:,} more characters)" if cut > 0 else text


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
