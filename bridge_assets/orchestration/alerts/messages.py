"""How an event reads in Slack: what, the numbers, whose it is, what to do, and where to look."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import dagster as dg

from bridge_assets.alerting.message import Message
from bridge_assets.alerting.text import utc_minute
from bridge_assets.orchestration.alerts.events import AlertEvent, CheckEvent, FailedRun
from bridge_assets.orchestration.alerts.overdue import OverdueEvent
from bridge_assets.orchestration.alerts.ticks import TickEvent

#: Characters of a check's description or of an error, so that the rest of the message has room in Slack's 3,000.
_MAX_DETAIL = 1500

#: Pages about the asset that a message links to.
_MAX_PAGES = 3

#: Figures of a check's metadata that a message lists.
_MAX_FIGURES = 12


def message_of(
    event: AlertEvent | TickEvent | OverdueEvent,
    owners: Sequence[str],
    destination: str,
    ui_address: str,
    pages: Sequence[tuple[str, str]] = (),
) -> Message:
    """The message about an event. The same event gives the same key.

    Parameters
    ----------
    event : CheckEvent, FailedRun, TickEvent or OverdueEvent
    owners : sequence of str
        Of the asset.
    destination : str
        Name of the destination.
    ui_address : str
        Of the Dagster UI; empty = no links into it.
    pages : sequence of (str, str)
        Label and address of pages about the asset.
    """
    match event:
        case FailedRun():
            draft = _of_run(event, ui_address)
        case TickEvent():
            draft = _of_tick(event, ui_address)
        case OverdueEvent():
            draft = _of_overdue(event, ui_address)
        case _:
            draft = _of_check(event, ui_address)
    lines, links = draft.lines, [*draft.links, *pages[:_MAX_PAGES]]
    if owners:
        lines.append(f"Owner: {', '.join(owners)}")
    lines += [f"{label}: {address}" for label, address in links]
    return Message(draft.key, draft.summary, "\n".join(lines), destination, links=tuple(links))


@dataclass(frozen=True)
class _Draft:
    key: str
    summary: str
    lines: list[str]
    links: list[tuple[str, str]]


def _of_check(event: CheckEvent, ui_address: str) -> _Draft:
    evaluation, asset = event.evaluation, event.evaluation.asset_key.to_user_string()
    if evaluation.passed:
        kind, summary = "check_recovered", f"Check passes again: {event.name}"
        lines = [f"{summary}. It had failed since {utc_minute(event.failing_since)}."]
    else:
        warns, still = evaluation.severity is dg.AssetCheckSeverity.WARN, bool(event.failing_since)
        kind = "check_warned" if warns else "check_failed"
        verb = {(True, True): "still warns", (True, False): "warns", (False, True): "still fails"}.get((warns, still))
        summary = f"Check {verb or 'failed'}: {event.name}"
        lines = [f"{summary}.{f' It has failed since {utc_minute(event.failing_since)}.' if still else ''}"]
    if evaluation.description:
        lines.append(_shortened(evaluation.description))
    if figures := _figures(evaluation):
        lines.append(figures)
    if not evaluation.passed:
        if evaluation.blocking:
            lines.append("The check is blocking: what depends on the asset did not run in this run.")
        if "What to do:" not in (evaluation.description or ""):
            lines.append(_what_to_do(event, asset))
    lines, links = _with_run(lines, event.run, ui_address)
    if ui_address:
        path = "/".join(quote(part) for part in evaluation.asset_key.path)
        links.append(("Check", f"{ui_address}/assets/{path}?view=checks&checkDetail={quote(evaluation.check_name)}"))
    return _Draft(f"{kind}:{event.run.run_id}:{event.name}", summary, lines, links)


def _what_to_do(event: CheckEvent, asset: str) -> str:
    if asset.endswith("_endpoint"):
        return (
            "What to do: see whether the endpoint is up; if its version is at fault, "
            f"rollback_{asset.removesuffix('_endpoint')} returns to the last healthy one."
        )
    if event.evaluation.severity is dg.AssetCheckSeverity.WARN:
        return "What to do: look at what the check found, and decide whether to act; nothing was stopped."
    partition = f" for {event.partition}" if event.partition else ""
    return f"What to do: correct what the check found, then materialize {asset}{partition} again."


def _of_run(event: FailedRun, ui_address: str) -> _Draft:
    run = event.run
    attempts = f" after {event.attempts} attempts" if event.attempts > 1 else ""
    step = f" in {event.step}" if event.step else ""
    summary = f"Run failed{attempts}: {run.job_name}{step}"
    lines = [f"{summary}.", _shortened(event.error)]
    if "What to do:" not in event.error:
        lines.append("What to do: correct the cause, then run it again from the failure in the UI.")
    lines, links = _with_run(lines, run, ui_address)
    return _Draft(f"run_failed:{run.run_id}", f"{summary}: {event.error.partition(chr(10))[0]}", lines, links)


def _of_tick(event: TickEvent, ui_address: str) -> _Draft:
    if event.error:
        kind, summary = "tick_failed", f"The {event.kind} {event.name} fails"
        lines = [f"{summary}: it requests no runs.", _shortened(event.error)]
        lines.append("What to do: correct the cause; the ticks are on its page in the UI, under Automation.")
    else:
        kind, summary = "tick_recovered", f"The {event.kind} {event.name} works again"
        lines = [f"{summary}. Its failure was reported at {utc_minute(event.failing_since)}."]
    return _Draft(f"{kind}:{event.name}:{event.series}", summary, lines, _automation(ui_address))


def _of_overdue(event: OverdueEvent, ui_address: str) -> _Draft:
    lines = [f"{event.summary}.", event.detail]
    links = _automation(ui_address) if event.kind == "silent_endpoint" else []
    if ui_address:
        links.append(("Asset", f"{ui_address}/assets/{'/'.join(quote(part) for part in event.asset.path)}"))
    return _Draft(f"{event.kind}:{event.series}", event.summary, lines, links)


def _automation(ui_address: str) -> list[tuple[str, str]]:
    return [("All sensors and schedules", f"{ui_address}/automation")] if ui_address else []


def _with_run(lines: list[str], run: dg.DagsterRun, ui_address: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The run as a link; without an address, as a line."""
    if ui_address:
        return lines, [("Run", f"{ui_address}/runs/{run.run_id}")]
    return [*lines, f"Run: {run.run_id} ({run.job_name})"], []


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
