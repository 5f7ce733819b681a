"""Is a model version at least as good as the champion? Both are asked about the same held-out inspections.

The split holds out the same structures in every version, so the champion did not learn from the candidate's hold-out:
both answer as an endpoint would, from features in natural units, each on its own scale. A champion that cannot be asked
(other feature definitions, another target) is compared by what it showed when it was trained, if the settings want it.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.deployment.package import pack, served_digests
from bridge_assets.models.candidate import Candidate
from bridge_assets.models.resampling import Interval, intervals
from bridge_assets.models.scores import Scores, scores
from bridge_assets.models.split import holdout_rows, split_at

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

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
    of_candidate, of_champion : Scores
    gains : mapping of str to Interval
        Figure -> 95 % interval of what the candidate gains over the champion, by resampling structures.
    """

    champion: str | None
    said: str
    problems: tuple[str, ...] = ()
    asked: bool = False
    inspections: int = 0
    falls: int = 0
    of_candidate: Scores = field(default_factory=Scores)
    of_champion: Scores = field(default_factory=Scores)
    gains: dict[str, Interval] = field(default_factory=dict)

    def markdown(self) -> str:
        """Both versions side by side, as a Markdown table."""
        if not self.asked:
            return self.said
        lines = ["|figure|candidate|champion|gain|95 % interval|", "|---|---:|---:|---:|---|"]
        for figure in ("auc", "average_precision", "brier", "worst_10"):
            mine, other = getattr(self.of_candidate, figure), getattr(self.of_champion, figure)
            if mine is None or other is None:
                continue
            gain = other - mine if figure == "brier" else mine - other
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
        `gate.champion_auc_loss`, `gate.champion_brier_loss`, `gate.champion_cannot_be_asked`; and
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
    if other := _other_question(candidate, champion):
        return _by_record(candidate, champion, gate, other)
    share = settings.split.holdout_structures
    unseen = _unseen(holdout, float(champion.manifest["made_from"].get("holdout_structures", share)))
    falls = unseen["fall"].to_numpy().astype(bool)
    if falls.all() or not falls.any() or len(falls) < gate.holdout_inspections or falls.sum() < gate.holdout_falls:
        few = f"only {len(falls):,} inspections with {int(falls.sum()):,} falls are held out from both"
        return _by_record(candidate, champion, gate, few)
    answers = {"model": _answers(candidate, unseen), "champion": _answers(champion, unseen)}
    mine, other = (scores(falls, answer) for answer in answers.values())
    _, gains = intervals(falls, answers, unseen["structure_key"].to_list(), ["champion"], resamples=_RESAMPLES, seed=0)
    return Comparison(
        champion.version,
        f"AUC {mine.auc:.4f} against the champion's {other.auc:.4f}, Brier score {mine.brier:.5f} against "
        f"{other.brier:.5f}, on {len(falls):,} inspections held out from both (champion {champion.version})",
        tuple(
            _losses(_lost(other.auc, mine.auc), _lost(mine.brier, other.brier), gate, "", champion.version, mine, other)
        ),
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
    """The probabilities that an endpoint of this version would give."""
    with tempfile.TemporaryDirectory() as folder:
        served = pack(version, served_digests(version), Path(folder) / version.version).served()
        return served.fall_probability(features).to_numpy().astype(float)


def _unseen(holdout: pl.DataFrame, champions_share: float) -> pl.DataFrame:
    """Without structures that a champion with a smaller hold-out trained on."""
    if holdout.is_empty():
        return holdout
    years = holdout["survey_year"].to_list()
    return holdout_rows(split_at(holdout, min(years), max(years), champions_share)).drop("split")


def _other_question(candidate: Candidate, champion: Candidate) -> str:
    mine, other = candidate.manifest["made_from"], champion.manifest["made_from"]
    differing = [key for key in _SAME_QUESTION if key in mine and key in other and mine[key] != other[key]]
    if not differing:
        return ""
    return "it was trained on another " + " and another ".join(key.replace("_", " ") for key in differing)


def _by_record(candidate: Candidate, champion: Candidate, gate: GateSettings, why: str) -> Comparison:
    said = f"the champion {champion.version} cannot be asked about these inspections: {why}"
    if gate.champion_cannot_be_asked == "accept":
        return Comparison(champion.version, f"{said}. Accepted {_DECIDE}")
    if gate.champion_cannot_be_asked == "refuse":
        return Comparison(champion.version, said, (f"{said}. Refused {_DECIDE}",))
    mine, other = _recorded_gains(candidate), _recorded_gains(champion)
    if None in (*mine, *other):
        unknown = f"{said}, and there are no recorded figures of both to compare {_DECIDE}"
        return Comparison(champion.version, said, (unknown,))
    (auc, brier), (champions_auc, champions_brier) = mine, other
    compared = (
        f"{said}. On its own hold-out each gains over its baselines: AUC {auc:+.4f}, the champion "
        f"{champions_auc:+.4f}; Brier score {brier:+.5f}, the champion {champions_brier:+.5f}"
    )
    lost = _losses(
        _lost(champions_auc, auc), _lost(champions_brier, brier), gate, "by its recorded figures ", champion.version
    )
    problems = (f"{compared}; {'; '.join(lost)} {_DECIDE}",) if lost else ()
    return Comparison(champion.version, compared, problems)


def _recorded_gains(version: Candidate) -> tuple[float | None, float | None]:
    """Gain in AUC over the rating table and in Brier score over the base rate, as recorded when it was trained."""
    try:
        figures: dict[str, Any] = json.loads(version.file("evaluation.json").read_text(encoding="utf-8"))["scores"]
        auc = _lost(figures["model"]["auc"], figures["rating_table"]["auc"])
        return auc, _lost(figures["base_rate"]["brier"], figures["model"]["brier"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None


def _lost(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else before - after


def _losses(
    auc: float | None,
    brier: float | None,
    gate: GateSettings,
    how: str,
    champion: str,
    mine: Scores | None = None,
    other: Scores | None = None,
) -> list[str]:
    problems = []
    if auc is not None and auc > gate.champion_auc_loss:
        figures = f" ({mine.auc:.4f} against {other.auc:.4f})" if mine and other else ""
        problems.append(
            f"{how}AUC is {auc:.4f} worse than that of champion {champion}{figures}; the most is "
            f"{gate.champion_auc_loss:g} (champion_auc_loss)"
        )
    if brier is not None and brier > gate.champion_brier_loss:
        figures = f" ({mine.brier:.5f} against {other.brier:.5f})" if mine and other else ""
        problems.append(
            f"{how}the Brier score is {brier:.5f} worse than that of champion {champion}{figures}; the most is "
            f"{gate.champion_brier_loss:g} (champion_brier_loss)"
        )
    return problems
