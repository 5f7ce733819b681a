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
from bridge_assets.models.metrics.bootstrap import Interval, intervals
from bridge_assets.models.tasks.tasks import recorded
from bridge_assets.registry.model_version import Candidate
from bridge_assets.runtime.package import pack, served_digests

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from bridge_assets.models.tasks.base import Task
    from bridge_assets.settings import GateSettings, ModelSettings

#: Files of a version that are not needed to ask it.
NOT_ASKED = ("model.skops",)

#: What two versions must share for their answers to mean the same.
_SAME_QUESTION = ("features_digest", "target", "component", "horizon_months")

_RESAMPLES = 200

_DECIDE = "(champion_cannot_be_asked in configs/model_config.yaml: recorded, accept or refuse)"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A candidate beside the champion.

    Attributes
    ----------
    champion : str or None
        Its version; None = there is none.
    said : str
        What was compared, in one sentence.
    problems : tuple of str
        Why the candidate is worse; empty = it is not.
    asked : bool
        Whether both were asked about the same inspections.
    inspections, falls : int
        Those.
    of_candidate, of_champion : Scores or ChangeScores
        None where they were not asked.
    gains : mapping of str to Interval
        Figure -> 95 % interval of what the candidate gains over the champion, by resampling structures.
    """

    champion: str | None
    said: str
    problems: tuple[str, ...] = ()
    asked: bool = False
    inspections: int = 0
    falls: int = 0
    of_candidate: Any = None
    of_champion: Any = None
    gains: dict[str, Interval] = field(default_factory=dict)

    def markdown(self) -> str:
        """Both versions side by side, as a Markdown table."""
        if not self.asked:
            return self.said
        lines = ["|figure|candidate|champion|gain|95 % interval|", "|---|---:|---:|---:|---|"]
        for figure in self.of_candidate.COMPARED:
            mine, other = getattr(self.of_candidate, figure), getattr(self.of_champion, figure)
            if mine is None or other is None:
                continue
            gain = other - mine if figure in self.of_candidate.LOWER_IS_BETTER else mine - other
            between = self.gains.get(figure)
            interval = f"{between.low:+.4f} to {between.high:+.4f}" if between else "-"
            lines.append(f"|{figure}|{mine:.4f}|{other:.4f}|{gain:+.4f}|{interval}|")
        return "\n".join([f"{self.inspections:,} held-out inspections, {self.falls:,} falls.", "", *lines])


def compare(
    candidate: Candidate, champion: Candidate | None, holdout: pl.DataFrame | None, settings: ModelSettings
) -> Comparison:
    """Hold a candidate against the champion.

    Parameters
    ----------
    candidate, champion : Candidate
        The champion as it was fetched from the registry; None = there is none yet.
    holdout : pl.DataFrame, optional
        As `challenge.holdout_in_natural_units` gives it; needed where there is a champion.
    settings : ModelSettings
        `gate`: the most that may be lost (`Judged.most_lost`) and `champion_cannot_be_asked`; and
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
    task = recorded(candidate.manifest["made_from"])
    if differing := _other_question(candidate, champion):
        return _by_record(candidate, champion, gate, differing, task)
    share = settings.split.holdout_structures
    unseen = _unseen(holdout, float(champion.manifest["made_from"].get("holdout_structures", share)))
    falls = unseen["fall"].to_numpy().astype(bool)
    if falls.all() or len(falls) < gate.holdout_inspections or falls.sum() < gate.holdout_falls:
        few = f"only {len(falls):,} inspections with {int(falls.sum()):,} falls are held out from both"
        return _by_record(candidate, champion, gate, few, task)
    answers = {"model": _answers(candidate, unseen), "champion": _answers(champion, unseen)}
    happened, structures = task.happened(unseen), unseen["structure_key"].to_list()
    mine, other = (task.scores(happened, answer) for answer in answers.values())
    _, gains = intervals(
        happened, answers, structures, ["champion"], resamples=_RESAMPLES, seed=0, measured=task.measured
    )
    beside = [
        tuple("-" if (value := judged.of(figures)) is None else judged.written(value) for figures in (mine, other))
        for judged in task.judged
    ]
    first, second = task.judged
    lost = [_lost(judged.gain(judged.of(mine), judged.of(other))) for judged in task.judged]
    return Comparison(
        champion.version,
        f"{first.name} {beside[0][0]} against the champion's {beside[0][1]}, {second.name} {beside[1][0]} against "
        f"{beside[1][1]}, on {len(falls):,} inspections held out from both (champion {champion.version})",
        tuple(_losses(task, lost, gate, "", champion.version, beside)),
        True,
        len(falls),
        int(falls.sum()),
        mine,
        other,
        gains.get("champion", {}),
    )


def unknown(uri: str, gate: GateSettings) -> Comparison:
    """The comparison with a champion of which nothing is known but its place."""
    said = f"the champion {uri} was not registered by this version of bridge_assets: its files are not listed"
    if gate.champion_cannot_be_asked == "accept":
        return Comparison(uri, f"{said}. Accepted {_DECIDE}")
    return Comparison(uri, said, (f"{said}. Set it to accept, once, or move the alias {_DECIDE}",))


def _answers(version: Candidate, features: pl.DataFrame) -> np.ndarray:
    """The answers that an endpoint of this version would give."""
    with tempfile.TemporaryDirectory() as folder:
        served = pack(version, served_digests(version), Path(folder) / version.version).served()
        return served.answers(features).to_numpy().astype(float)


def _unseen(holdout: pl.DataFrame, champions_share: float) -> pl.DataFrame:
    """Without structures that a champion with a smaller hold-out trained on."""
    if holdout.is_empty():
        return holdout
    years = holdout["survey_year"].to_list()
    return holdout_rows(split_at(holdout, min(years), max(years), champions_share)).drop("split")


def _other_question(candidate: Candidate, champion: Candidate) -> str:
    mine, other = candidate.manifest["made_from"], champion.manifest["made_from"]
    differing = [key for key in _SAME_QUESTION if key in mine and key in other and mine[key] != other[key]]
    differing += ["task"] if recorded(mine) is not recorded(other) else []
    if not differing:
        return ""
    return "it was trained on another " + " and another ".join(key.replace("_", " ") for key in differing)


def _by_record(candidate: Candidate, champion: Candidate, gate: GateSettings, why: str, task: Task) -> Comparison:
    said = f"the champion {champion.version} cannot be asked about these inspections: {why}"
    if gate.champion_cannot_be_asked == "accept":
        return Comparison(champion.version, f"{said}. Accepted {_DECIDE}")
    if gate.champion_cannot_be_asked == "refuse":
        return Comparison(champion.version, said, (f"{said}. Refused {_DECIDE}",))
    mine, other = _recorded_gains(candidate, task), _recorded_gains(champion, task)
    if not (mine and other):
        unknown = f"{said}, and there are no recorded figures of both to compare {_DECIDE}"
        return Comparison(champion.version, said, (unknown,))
    gains = "; ".join(
        f"{judged.name} {judged.written(gain, '+')}, the champion {judged.written(champions, '+')}"
        for judged, gain, champions in zip(task.judged, mine, other, strict=True)
    )
    compared = f"{said}. On its own hold-out each gains over its baselines: {gains}"
    lost = [champions - gain for gain, champions in zip(mine, other, strict=True)]
    problems = _losses(task, lost, gate, "by its recorded figures ", champion.version)
    return Comparison(champion.version, compared, (f"{compared}; {'; '.join(problems)} {_DECIDE}",) if problems else ())


def _recorded_gains(version: Candidate, task: Task) -> list[float]:
    """Gain of each judged figure over its baseline, as recorded when it was trained; empty where one is not known."""
    try:
        figures: dict[str, Any] = json.loads(version.file("evaluation.json").read_text(encoding="utf-8"))["scores"]
        gains = [judged.gain(judged.of(figures["model"]), judged.of(figures[judged.over])) for judged in task.judged]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    known = [gain for gain in gains if gain is not None]
    return known if len(known) == len(gains) else []


def _lost(gain: float | None) -> float | None:
    return None if gain is None else -gain


def _losses(
    task: Task,
    lost: Sequence[float | None],
    gate: GateSettings,
    how: str,
    champion: str,
    beside: Sequence[tuple[str, ...]] = (),
) -> list[str]:
    """What is lost beyond the gate's limits, a sentence a figure.

    Parameters
    ----------
    task : Task
    lost : sequence of float or None
        Of each figure that is judged.
    gate : GateSettings
    how : str
        What the sentence begins with.
    champion : str
    beside : sequence of (str, str)
        The candidate's and the champion's figure, where both were measured on the same inspections.
    """
    problems = []
    for place, judged in enumerate(task.judged):
        worse, most = lost[place], getattr(gate, judged.most_lost)
        if worse is not None and worse > most:
            figures = f" ({beside[place][0]} against {beside[place][1]})" if beside else ""
            problems.append(
                f"{how}{judged.subject} is {judged.written(worse)} worse than that of champion {champion}{figures}; "
                f"the most is {most:g} ({judged.most_lost})"
            )
    return problems
