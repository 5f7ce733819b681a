"""The summary of a run for the terminal."""

from __future__ import annotations

import shlex

from bridge_assets.data.lake import Lake
from bridge_assets.data.origin import lake_origin
from bridge_assets.markdown import for_terminal
from bridge_assets.orchestration.runs.run_job import RunResult
from bridge_assets.settings import DataSettings


def run_summary(result: RunResult, data: DataSettings, program: str = "bridge-assets") -> str:
    """The result in words: what was built, what failed, which model is served, and how to open the UI.

    Parameters
    ----------
    result : RunResult
    data : DataSettings
    program : str
        How the user calls `bridge-assets`, for the commands that can be typed next.
    """
    failed = {
        name: message
        for name, (passed, severity, message) in result.checks.items()
        if not passed and severity == "ERROR"
    }
    warned = {
        name: message
        for name, (passed, severity, message) in result.checks.items()
        if not passed and severity != "ERROR"
    }
    outcome = "Stopped" if not result.success else "Done without a model" if result.no_model_reason else "Done"
    lines = [
        "",
        f"{outcome} after {result.seconds:.0f} s: {len(result.materializations)} "
        f"assets, {len(result.checks)} checks, {len(failed)} failed, {len(warned)} warned. Run {result.run_id[:8]}.",
    ]
    lines += [f"  failed  {name}: {message}" for name, message in failed.items()]
    lines += [f"  warned  {name}: {message}" for name, message in warned.items()]
    check_steps = {name.replace(":", "_") for name in failed}
    lines += [f"  error   {step}: {message}" for step, message in result.errors if step not in check_steps]
    if held_out := result.materializations.get("bridge_model", {}).get("held_out"):
        lines += ["", "On held-out structures in later years:", "", for_terminal(str(held_out))]
    lines += ["", *_output_lines(result, data, program)]
    return "\n".join(lines)


def canceled_message(result: RunResult, command: str) -> str:
    """What a run that was stopped has finished, what it left as it was, and how to go on.

    Parameters
    ----------
    result : RunResult
    command : str
        The command that repeats the run.
    """
    step = f" in {result.interrupted_step}" if result.interrupted_step else ""
    count = len(result.finished_steps)
    finished = (
        f"Finished: {count} step{'s' if count > 1 else ''}, the last of them {result.finished_steps[-1]}; their "
        "outputs are complete. All other outputs are as they were before this run."
        if count
        else "No step was finished: all outputs are as they were before this run."
    )
    return (
        f"\nCanceled after {result.seconds:.0f} s{step}. Run {result.run_id[:8]}.\n"
        f"{finished} Nothing is half written.\nTo go on, run `{command}` again."
    )


def _output_lines(result: RunResult, data: DataSettings, program: str) -> list[str]:
    lines = []
    made = result.materializations
    if made and (warning := lake_origin(Lake(data.lake)).warning):
        lines.append(f"  Note:    {warning}")
    if result.no_model_reason:
        lines.append(f"  Model:   none was trained: {result.no_model_reason}")
    elif endpoint := made.get("local_endpoint"):
        lines.append(f"  The local endpoint serves model {endpoint['model_version']} (gate: {endpoint['gate']}).")
    elif "training_set" in made:
        lines.append("  The local endpoint was not promoted; it still serves its previous model, if any.")
    if "condition_report" in made or "inventory_report" in made:
        without = "" if "condition_report" in made else "   (what the records show; no model needed)"
        lines.append(f"  Report:  {data.reports_folder / 'condition_report.html'}{without}")
    if "data_quality_report" in made:
        lines.append(f"  Quality: {data.reports_folder / 'data_quality.html'}")
    if "looker_sheet" in made:
        lines.append(f"  Sheet:   {made['looker_sheet']['sheet']}")
    if "bridge_predictions" in made:
        lines.append(f"  Scores:  {data.lake / 'bridge_predictions'}/<year>.parquet")
        if key := _first_to_inspect(data):
            lines.append(f"  Predict: {program} predict {shlex.quote(key)}    (one of the bridges to inspect first)")
    lines.append(f"  Open:    {program} dev (or make dev); http://127.0.0.1:3000 shows this run and its assets")
    return lines


def _first_to_inspect(data: DataSettings) -> str | None:
    """The first bridge of the inspection order in the latest year that has scores; it has features, so it can be
    predicted.
    """
    lake = Lake(data.lake)
    if not (years := lake.available_years("bridge_predictions")):
        return None
    scores = lake.read_year("bridge_predictions", years[-1])
    return (
        scores.sort("look_first_rank", "structure_key", nulls_last=True)["structure_key"][0] if scores.height else None
    )
