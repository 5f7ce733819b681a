"""Is a model version at least as good as the champion? Both are asked about the same held-out inspections.

The split holds out the same structures in every version, so the champion did not learn from the candidate's hold-out:
both answer as an endpoint would, from features in natural units, each on its own scale. A champion that cannot be asked
(other feature definitions, another target) is compared by what it showed when it was trained, if the settings want it.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.models.dataset.split import holdout_rows, split_at
from bridge_assets.models.metrics.bootstrap import Interval, bootstrap_intervals
from bridge_assets.models.tasks.tasks import task_from_provenance
from bridge_assets.registry.model_version import ModelVersion
from bridge_assets.runtime.package import pack, served_digests

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.models.tasks.base import Task
    from bridge_assets.settings import GateSettings, ModelSettings

#: Files of a version that are not needed to ask it.
UNNEEDED_FILES = ("model.skops",)

#: What two versions must share for their answers to mean the same.
_COMPARABLE_KEYS = ("features_digest", "target", "component", "horizon_months")

_RESAMPLES = 200

_SETTING_HINT = "(champion_not_comparable in configs/model_config.yaml: recorded, accept or refuse)"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate beside the champion.

    Attributes
    ----------
    champion : str or None
        Its version; None = there is none.
    message : str
        What was compared, in one sentence.
    problems : tuple of str
        Why the candidate is worse; empty = it is not.
    evaluated : bool
        Whether both were asked about the same inspections.
    inspections, falls : int
        Those.
    candidate_scores, champion_scores : ProbabilityMetrics or ChangeMetrics
        None where they were not asked.
    score_gains : mapping of str to Interval
        Figure -> 95 % interval of what the candidate gains over the champion, by resampling structures.
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

    def markdown(self) -> str:
        """Both versions side by side, as a Markdown table."""
        if not self.evaluated:
            return self.message
        lines = ["|figure|candidate|champion|gain|95 % interval|", "|---|---:|---:|---:|---|"]
        for figure in self.candidate_scores.COMPARED_METRICS:
            candidate_score, champion_score = (
                getattr(self.candidate_scores, figure),
                getattr(self.champion_scores, figure),
            )
            if candidate_score is None or champion_score is None:
                continue
            gain = (
                champion_score - candidate_score
                if figure in self.candidate_scores.LOWER_IS_BETTER
                else candidate_score - champion_score
            )
            gain_interval = self.score_gains.get(figure)
            interval = f"{gain_interval.low:+.4f} to {gain_interval.high:+.4f}" if gain_interval else "-"
            lines.append(f"|{figure}|{candidate_score:.4f}|{champion_score:.4f}|{gain:+.4f}|{interval}|")
        return "\n".join([f"{self.inspections:,} held-out inspections, {self.falls:,} falls.", "", *lines])


def compare_versions(
    candidate: ModelVersion, champion: ModelVersion | None, holdout: pl.DataFrame | None, settings: ModelSettings
) -> Comparison:
    """Hold a candidate against the champion.

    Parameters
    ----------
    candidate, champion : ModelVersion
        The champion as it was fetched from the registry; None = there is none yet.
    holdout : pl.DataFrame, optional
        As `challenge.unscaled_holdout` gives it; needed where there is a champion.
    settings : ModelSettings
        `gate`: the most that may be lost (`Judged.max_loss_setting`) and `champion_not_comparable`; and
        `split.holdout_structures`, where the champion's manifest does not name its own share.

    Raises
    ------
    DeploymentError
        If one of them cannot be opened as an endpoint would open it.
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
        tuple(
            "-" if (value := judged.value(figures)) is None else judged.format_value(value)
            for figures in (candidate_scores, champion_scores)
        )
        for judged in task.acceptance_metrics
    ]
    first, second = task.acceptance_metrics
    losses = [
        _loss(judged.gain(judged.value(candidate_scores), judged.value(champion_scores)))
        for judged in task.acceptance_metrics
    ]
    return Comparison(
        champion.version,
        f"{first.name} {formatted_scores[0][0]} against the champion's {formatted_scores[0][1]}, {second.name} "
        f"{formatted_scores[1][0]} against "
        f"{formatted_scores[1][1]}, on {len(falls):,} inspections held out from both (champion {champion.version})",
        tuple(_loss_problems(task, losses, gate, "", champion.version, formatted_scores)),
        True,
        len(falls),
        int(falls.sum()),
        candidate_scores,
        champion_scores,
        gains.get("champion", {}),
    )


def unknown_champion(uri: str, gate: GateSettings) -> Comparison:
    """The comparison with a champion of which nothing is known but its place."""
    message = f"the champion {uri} was not registered by this version of bridge_assets: its files are not listed"
    if gate.champion_not_comparable == "accept":
        return Comparison(uri, f"{message}. Accepted {_SETTING_HINT}")
    return Comparison(uri, message, (f"{message}. Set it to accept, once, or move the alias {_SETTING_HINT}",))


def _predict(version: ModelVersion, features: pl.DataFrame) -> np.ndarray:
    """The answers that an endpoint of this version would give."""
    with tempfile.TemporaryDirectory() as folder:
        served = pack(version, served_digests(version), Path(folder) / version.version).load_model()
        return served.predict(features).to_numpy().astype(float)


def _held_out_from_both(holdout: pl.DataFrame, champions_share: float) -> pl.DataFrame:
    """Without structures that a champion with a smaller hold-out trained on."""
    if holdout.is_empty():
        return holdout
    years = holdout["survey_year"].to_list()
    return holdout_rows(split_at(holdout, min(years), max(years), champions_share)).drop("split")


def _definition_differences(candidate: ModelVersion, champion: ModelVersion) -> str:
    candidate_provenance, champion_provenance = candidate.manifest["made_from"], champion.manifest["made_from"]
    differing = [
        key
        for key in _COMPARABLE_KEYS
        if key in candidate_provenance
        and key in champion_provenance
        and candidate_provenance[key] != champion_provenance[key]
    ]
    differing += (
        ["task"] if task_from_provenance(candidate_provenance) is not task_from_provenance(champion_provenance) else []
    )
    if not differing:
        return ""
    return "it was trained on another " + " and another ".join(key.replace("_", " ") for key in differing)


def _compare_recorded_scores(
    candidate: ModelVersion, champion: ModelVersion, gate: GateSettings, why: str, task: Task
) -> Comparison:
    message = f"the champion {champion.version} cannot be asked about these inspections: {why}"
    if gate.champion_not_comparable == "accept":
        return Comparison(champion.version, f"{message}. Accepted {_SETTING_HINT}")
    if gate.champion_not_comparable == "refuse":
        return Comparison(champion.version, message, (f"{message}. Refused {_SETTING_HINT}",))
    candidate_gains, champion_gains = _recorded_gains(candidate, task), _recorded_gains(champion, task)
    if not (candidate_gains and champion_gains):
        unknown = f"{message}, and there are no recorded figures of both to compare {_SETTING_HINT}"
        return Comparison(champion.version, message, (unknown,))
    gains = "; ".join(
        f"{judged.name} {judged.format_value(gain, '+')}, the champion {judged.format_value(champions, '+')}"
        for judged, gain, champions in zip(task.acceptance_metrics, candidate_gains, champion_gains, strict=True)
    )
    message_with_gains = f"{message}. On its own hold-out each gains over its baselines: {gains}"
    losses = [champions - gain for gain, champions in zip(candidate_gains, champion_gains, strict=True)]
    problems = _loss_problems(task, losses, gate, "by its recorded figures ", champion.version)
    return Comparison(
        champion.version,
        message_with_gains,
        (f"{message_with_gains}; {'; '.join(problems)} {_SETTING_HINT}",) if problems else (),
    )


def _recorded_gains(version: ModelVersion, task: Task) -> list[float]:
    """Gain of each judged figure over its baseline, as recorded when it was trained; empty where one is not known."""
    try:
        figures: dict[str, Any] = json.loads(version.file("evaluation.json").read_text(encoding="utf-8"))["scores"]
        gains = [
            judged.gain(judged.value(figures["model"]), judged.value(figures[judged.baseline]))
            for judged in task.acceptance_metrics
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    known = [gain for gain in gains if gain is not None]
    return known if len(known) == len(gains) else []


def _loss(gain: float | None) -> float | None:
    return None if gain is None else -gain


def _loss_problems(
    task: Task,
    lost: Sequence[float | None],
    gate: GateSettings,
    prefix: str,
    champion: str,
    formatted_scores: Sequence[tuple[str, ...]] = (),
) -> list[str]:
    """What is lost beyond the gate's limits, a sentence a figure.

    Parameters
    ----------
    task : Task
    lost : sequence of float or None
        Of each figure that is judged.
    gate : GateSettings
    prefix : str
        What the sentence begins with.
    champion : str
    formatted_scores : sequence of (str, str)
        The candidate's and the champion's figure, where both were measured on the same inspections.
    """
    problems = []
    for place, judged in enumerate(task.acceptance_metrics):
        loss, limit = lost[place], getattr(gate, judged.max_loss_setting)
        if loss is not None and loss > limit:
            figures = (
                f" ({formatted_scores[place][0]} against {formatted_scores[place][1]})" if formatted_scores else ""
            )
            problems.append(
                f"{prefix}{judged.subject} is {judged.format_value(loss)} worse than that of champion "
                f"{champion}{figures}; "
                f"the most is {limit:g} ({judged.max_loss_setting})"
            )
    return problems
