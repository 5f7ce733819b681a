"""What a run made, for the person at the terminal."""

from __future__ import annotations

from bridge_assets.orchestration.runs.run_job import Outcome
from bridge_assets.settings import DataSettings


def summary(outcome: Outcome, data: DataSettings) -> str:
    """The outcome in words: what was made, what failed, what is served, how to open it."""
    failed = {
        name: said for name, (passed, severity, said) in outcome.checks.items() if not passed and severity == "ERROR"
    }
    warned = {
        name: said for name, (passed, severity, said) in outcome.checks.items() if not passed and severity != "ERROR"
    }
    lines = [
        "",
        f"{'Done' if outcome.success else 'Stopped'} after {outcome.seconds:.0f} s: {len(outcome.materialized)} "
        f"assets, {len(outcome.checks)} checks, {len(failed)} failed, {len(warned)} warned. Run {outcome.run_id[:8]}.",
    ]
    lines += [f"  failed  {name}: {said}" for name, said in failed.items()]
    lines += [f"  warned  {name}: {said}" for name, said in warned.items()]
    of_checks = {name.replace(":", "_") for name in failed}
    lines += [f"  error   {step}: {said}" for step, said in outcome.errors if step not in of_checks]
    if held_out := outcome.materialized.get("bridge_model", {}).get("held_out"):
        lines += ["", "On held-out structures in later years:", "", str(held_out)]
    lines += ["", *_made(outcome, data)]
    return "\n".join(lines)


def _made(outcome: Outcome, data: DataSettings) -> list[str]:
    lines = []
    if endpoint := outcome.materialized.get("local_endpoint"):
        lines.append(f"  The local endpoint serves model {endpoint['model_version']} (gate: {endpoint['gate']}).")
    elif "training_set" in outcome.materialized:
        lines.append("  The local endpoint was not promoted: what it served before, if anything, it still serves.")
    if "condition_report" in outcome.materialized:
        lines.append(f"  Report:  {data.reports_folder / 'condition_report.html'}")
    if "data_quality_report" in outcome.materialized:
        lines.append(f"  Quality: {data.reports_folder / 'data_quality.html'}")
    if "looker_sheet" in outcome.materialized:
        lines.append(f"  Sheet:   {outcome.materialized['looker_sheet']['sheet']}")
    if "bridge_predictions" in outcome.materialized:
        lines.append(f"  Scores:  {data.lake / 'bridge_predictions'}/<year>.parquet")
    lines.append("  Open:    make dev, then http://127.0.0.1:3000 shows this run, every asset and every check")
    return lines
