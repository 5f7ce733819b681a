"""Is a model version at least as good as the champion? Both are evaluated on the same held-out inspections.

The split holds out the same structures in every version, so the champion was not trained on the candidate's hold-out.
Both predict as an endpoint would, from features in natural units, each with its own normalization. A champion that
cannot be evaluated there (other feature definitions, another target) is compared by the metrics recorded when it was
trained, if the settings allow it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets import markdown
from bridge_assets.deployment.core.packing import pack, read_served_files
from bridge_assets.models.dataset.split import holdout_rows, split_at
from bridge_assets.models.metrics.bootstrap import Interval, bootstrap_intervals
from bridge_assets.models.tasks.tasks import task_from_provenance
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.scoring_model import load_scoring_model

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.models.tasks.base import AcceptanceMetric, Task
    from bridge_assets.settings import GateSettings, ModelSettings

#: Files of a version that are not needed to predict.
UNNEEDED_FILES = ("model.skops",)

#: Provenance that two versions must share for their predictions to be comparable.
_COMPARABLE_KEYS = ("features_digest", "target", "component", "horizon_months")

_RESAMPLES = 200

_SETTING_HINT = "(champion_not_comparable in configs/model_config.yaml: recorded, accept or refuse)"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of comparing a candidate with the champion.

    Attributes
    ----------
    champion : str or None
        The champion's version; None = there is no champion.
    message : str
        What was compared, in one sentence.
    problems : tuple of str
        Why the candidate is worse; empty = it is not worse.
    evaluated : bool
        Whether both were evaluated on the same inspections.
    inspections, falls : int
        Number of these inspections, and of falls among them.
    candidate_scores, champion_scores : ProbabilityMetrics or ChangeMetrics or None
        None where they were not evaluated.
    score_gains : mapping of str to Interval
        Metric -> 95 % bootstrap interval (resampling structures) of the candidate's gain over the champion.
    """

    champion: str | None
    message: str
    problems: tuple[str, ...] = ()
    evaluated: bool = False
    inspections: int = 0
    falls: int = 0
    candidate_scores: Any = None
    champion_scores: Any = None
    score_gains: dict[str, Interval] = field(default_factory=dict)

    def gains(self) -> dict[str, float]:
        """Metric -> how much better the candidate is than the champion; empty if they were not evaluated."""
        if not self.evaluated:
            return {}
        candidate, champion, gains = self.candidate_scores, self.champion_scores, {}
        for metric in candidate.COMPARED_METRICS:
            mine, other = getattr(candidate, metric), getattr(champion, metric)
            if mine is not None and other is not None:
                gains[metric] = float(other - mine if metric in candidate.LOWER_IS_BETTER else mine - other)
        return gains

    def markdown(self) -> str:
        """Both versions side by side, as a Markdown table."""
        if not self.evaluated:
            return markdown.escape(self.message)
        candidate, champion = self.candidate_scores, self.champion_scores
        rows = []
        for metric, gain in self.gains().items():
            mine, other = getattr(candidate, metric), getattr(champion, metric)
            bounds = self.score_gains.get(metric)
            interval = f"{bounds.low:+.4f} to {bounds.high:+.4f}" if bounds else "-"
            rows.append((metric, f"{mine:.4f}", f"{other:.4f}", f"{gain:+.4f}", interval))
        table = markdown.table(("metric", "candidate", "champion", "gain", "95 % interval"), rows, align="lrrr")
        return f"{self.inspections:,} held-out inspections, {self.falls:,} falls.\n\n{table}"


def compare_versions(
    candidate: ModelVersion, champion: ModelVersion | None, holdout: pl.DataFrame | None, settings: ModelSettings
) -> Comparison:
    """Compare a candidate with the champion.

    Parameters
    ----------
    candidate, champion : ModelVersion
        The champion as fetched from the registry; None = there is no champion yet.
    holdout : pl.DataFrame, optional
        As `challenge.unscaled_holdout` returns it; required if there is a champion.
    settings : ModelSettings
        `gate`: the largest allowed losses (`AcceptanceMetric.max_loss_setting`) and `champion_not_comparable`; and
        `split.holdout_structures`, for a champion whose manifest does not record its own share.

    Returns
    -------
    Comparison

    Raises
    ------
    DeploymentError
        If one of them cannot be loaded as an endpoint would load it.
    """
    gate = settings.gate
    if champion is None or holdout is None:
        return Comparison(None, "there is no champion yet")
    if champion.stages.get("onnx_model") == candidate.stages.get("onnx_model"):
        return Comparison(champion.version, "this is the champion")
    task = task_from_provenance(candidate.manifest["made_from"])
    if differing := _definition_differences(candidate, champion):
        return _compare_recorded_scores(candidate, champion, gate, differing, task)
    share = settings.split.holdout_structures
    unseen = _held_out_from_both(holdout, float(champion.manifest["made_from"].get("holdout_structures", share)))
    falls = unseen["fall"].to_numpy().astype(bool)
    if falls.all() or len(falls) < gate.holdout_inspections or falls.sum() < gate.holdout_falls:
        reason = f"only {len(falls):,} inspections with {int(falls.sum()):,} falls are held out from both"
        return _compare_recorded_scores(candidate, champion, gate, reason, task)
    return _compare_predictions(candidate, champion, unseen, gate, task)


def _compare_predictions(
    candidate: ModelVersion, champion: ModelVersion, unseen: pl.DataFrame, gate: GateSettings, task: Task
) -> Comparison:
    """Compare both on inspections that neither was trained on."""
    answers = {"model": _predict(candidate, unseen), "champion": _predict(champion, unseen)}
    outcomes, structures = task.outcomes(unseen), unseen["structure_key"].to_list()
    candidate_scores, champion_scores = (task.compute_metrics(outcomes, answer) for answer in answers.values())
    _, gains = bootstrap_intervals(
        outcomes,
        answers,
        structures,
        ["champion"],
        resamples=_RESAMPLES,
        seed=0,
        metrics_type=task.weighted_metrics_type,
    )
    formatted_scores = [
        (_format(metric, metric.value(candidate_scores)), _format(metric, metric.value(champion_scores)))
        for metric in task.acceptance_metrics
    ]
    losses = [
        _loss(metric.gain(metric.value(candidate_scores), metric.value(champion_scores)))
        for metric in task.acceptance_metrics
    ]
    first, second = task.acceptance_metrics
    (mine, other), (mine_second, other_second) = formatted_scores
    return Comparison(
        champion.version,
        f"{first.name} {mine} against the champion's {other}, {second.name} {mine_second} against {other_second}, "
        f"on {unseen.height:,} inspections held out from both (champion {champion.version})",
        tuple(_loss_problems(task, losses, gate, "", champion.version, formatted_scores)),
        True,
        unseen.height,
        int(unseen["fall"].sum()),
        candidate_scores,
        champion_scores,
        gains.get("champion", {}),
    )


def unknown_champion(uri: str, gate: GateSettings) -> Comparison:
    """The comparison with a champion of which only the address in the registry is known."""
    message = f"the champion {uri} was not registered by this version of bridge_assets: its files are not listed"
    if gate.champion_not_comparable == "accept":
        return Comparison(uri, f"{message}. Accepted {_SETTING_HINT}")
    remedy = "Set champion_not_comparable to accept for one run, or move the champion alias"
    return Comparison(uri, message, (f"{message}. {remedy} {_SETTING_HINT}",))


def _predict(version: ModelVersion, features: pl.DataFrame) -> np.ndarray:
    """The predictions that an endpoint with this version would return, one per row."""
    with tempfile.TemporaryDirectory() as folder:
        served = load_scoring_model(pack(read_served_files(version), Path(folder) / version.version))
        return served.predict(features).to_numpy().astype(float)


def _held_out_from_both(holdout: pl.DataFrame, champions_share: float) -> pl.DataFrame:
    """The hold-out without structures that a champion with a smaller hold-out was trained on."""
    if holdout.is_empty():
        return holdout
    years = holdout["survey_year"].to_list()
    return holdout_rows(split_at(holdout, min(years), max(years), champions_share)).drop("split")


def _definition_differences(candidate: ModelVersion, champion: ModelVersion) -> str:
    """Which definitions of the two differ, as the reason not to compare their predictions; empty = none."""
    mine, other = candidate.manifest["made_from"], champion.manifest["made_from"]
    differing = [
        key.replace("_", " ") for key in _COMPARABLE_KEYS if key in mine and key in other and mine[key] != other[key]
    ]
    if task_from_provenance(mine) is not task_from_provenance(other):
        differing.append("task")
    return f"it was trained with another {' and another '.join(differing)}" if differing else ""


def _compare_recorded_scores(
    candidate: ModelVersion, champion: ModelVersion, gate: GateSettings, why: str, task: Task
) -> Comparison:
    message = f"the champion {champion.version} cannot be evaluated on these inspections: {why}"
    if gate.champion_not_comparable == "accept":
        return Comparison(champion.version, f"{message}. Accepted {_SETTING_HINT}")
    if gate.champion_not_comparable == "refuse":
        return Comparison(champion.version, message, (f"{message}. Refused {_SETTING_HINT}",))
    candidate_gains, champion_gains = _recorded_gains(candidate, task), _recorded_gains(champion, task)
    if not (candidate_gains and champion_gains):
        unknown = f"{message}, and recorded metrics are not available for both {_SETTING_HINT}"
        return Comparison(champion.version, message, (unknown,))
    gains = "; ".join(
        f"{metric.name} {metric.format_value(gain, '+')} (champion {metric.format_value(champions, '+')})"
        for metric, gain, champions in zip(task.acceptance_metrics, candidate_gains, champion_gains, strict=True)
    )
    message_with_gains = f"{message}. Recorded gains over the baselines, each on its own hold-out: {gains}"
    losses = [champions - gain for gain, champions in zip(candidate_gains, champion_gains, strict=True)]
    problems = _loss_problems(task, losses, gate, "by recorded metrics, ", champion.version)
    return Comparison(
        champion.version,
        message_with_gains,
        (f"{message_with_gains}; {'; '.join(problems)} {_SETTING_HINT}",) if problems else (),
    )


def _recorded_gains(version: ModelVersion, task: Task) -> list[float]:
    """Gain of each acceptance metric over its baseline, as recorded in training; empty if one is unknown."""
    try:
        figures: dict[str, Any] = json.loads(version.file("evaluation.json").read_text(encoding="utf-8"))["scores"]
        gains = [
            metric.gain(metric.value(figures["model"]), metric.value(figures[metric.baseline]))
            for metric in task.acceptance_metrics
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    known = [gain for gain in gains if gain is not None]
    return known if len(known) == len(gains) else []


def _format(metric: AcceptanceMetric, value: float | None) -> str:
    return "-" if value is None else metric.format_value(value)


def _loss(gain: float | None) -> float | None:
    return None if gain is None else -gain


def _loss_problems(
    task: Task,
    losses: Sequence[float | None],
    gate: GateSettings,
    prefix: str,
    champion: str,
    formatted_scores: Sequence[tuple[str, ...]] = (),
) -> list[str]:
    """Each loss that exceeds the gate's limit, as one sentence.

    Parameters
    ----------
    task : Task
    losses : sequence of float or None
        One per acceptance metric; None = unknown.
    gate : GateSettings
    prefix : str
        Put before each sentence.
    champion : str
        The champion's version.
    formatted_scores : sequence of (str, str)
        The candidate's and the champion's value, if both were evaluated on the same inspections.
    """
    problems = []
    for index, metric in enumerate(task.acceptance_metrics):
        loss, limit = losses[index], getattr(gate, metric.max_loss_setting)
        if loss is not None and loss > limit:
            values = " ({} against {})".format(*formatted_scores[index]) if formatted_scores else ""
            problems.append(
                f"{prefix}{metric.subject} is {metric.format_value(loss)} worse than for champion {champion}{values}; "
                f"at most {limit:g} is allowed ({metric.max_loss_setting})"
            )
    return problems
