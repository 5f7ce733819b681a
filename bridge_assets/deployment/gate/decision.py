"""The gate's rule: may this model version be deployed?

Every required check must have passed for exactly the bytes of this version, in any run, under limits that are at least
as strict as those configured today.

Belongs here: the required checks, and the decision from recorded evaluations. Does not belong here: which bytes
(`content`), how evaluations are read from Dagster's event log (`orchestration.gate`), and the checks themselves
(`orchestration.checks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from bridge_assets import markdown
from bridge_assets.deployment.gate.limits import limits_of, looser_limits
from bridge_assets.errors import BridgeAssetsError

if TYPE_CHECKING:
    from bridge_assets.deployment.gate.content import VersionContent
    from bridge_assets.settings import GateSettings

#: In characters. An override needs a reason that others can understand later; a single letter is not enough.
MIN_REASON_LENGTH = 10

State = Literal["passed", "failed", "outdated", "loosened", "untrusted", "missing"]


@dataclass(frozen=True)
class Requirement:
    """A check that a version must pass; `asset` is the stage whose digest the check records."""

    asset: str
    check: str

    def __str__(self) -> str:
        return f"{self.asset}:{self.check}"


#: Evaluated again when a version is registered, because the champion may have changed by then.
CHAMPION_REQUIREMENT = Requirement("onnx_model", "not_worse_than_champion")

REQUIRED_CHECKS = (
    Requirement("training_set", "input_checks_passed"),
    Requirement("training_set", "no_leakage"),
    Requirement("bridge_model", "beats_baselines"),
    Requirement("quantized_model", "quantization_parity"),
    Requirement("onnx_model", "onnx_parity"),
    Requirement("bridge_model", "is_calibrated"),
    CHAMPION_REQUIREMENT,
)


@dataclass(frozen=True)
class CheckEvaluation:
    """One recorded evaluation of a check.

    Attributes
    ----------
    asset, check : str
        What was evaluated.
    passed : bool
    digest : str
        Digest of the bytes that were evaluated.
    timestamp : float
        Time of the evaluation, Unix seconds.
    run_id : str
        The run it was evaluated in.
    message : str
        The check's own description of its result.
    champion : str
        `not_worse_than_champion` only: the version it compared with; empty = there was no champion.
    limits : mapping of str to object
        Setting -> value that it was judged with.
    refused : str
        Why this evaluation does not count, although it passed; empty = it counts.
    """

    asset: str
    check: str
    passed: bool
    digest: str
    timestamp: float
    run_id: str
    message: str = ""
    champion: str = ""
    limits: Mapping[str, object] = field(default_factory=dict, hash=False)
    refused: str = ""


@dataclass(frozen=True)
class Finding:
    """The result of one requirement.

    Attributes
    ----------
    requirement : Requirement
    state : {"passed", "failed", "outdated", "loosened", "untrusted", "missing"}
        `outdated`: evaluated, but for other bytes than this version's, or against another champion than today's.
        `loosened`: passed, but under looser limits than today's.
        `untrusted`: a pass is recorded, but no step of a run stands behind it, or it is not signed.
        `missing`: never evaluated, or this version does not have that stage.
    expected_digest : str or None
        Digest of the stage in this version; None = this version does not have the stage.
    evaluation : CheckEvaluation or None
        The evaluation that decided; for an outdated check, the newest one.
    champion : str or None
        Today's champion, where the evaluation compared with another one.
    loosened : tuple of str
        The limits that were looser, each with today's value.
    """

    requirement: Requirement
    state: State
    expected_digest: str | None
    evaluation: CheckEvaluation | None = None
    champion: str | None = None
    loosened: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The result of the deciding evaluation, on one line, and its run."""
        if self.evaluation is None:
            return ""
        run = f"run {self.evaluation.run_id[:8]}" if self.evaluation.run_id else "no run"
        return f"{' '.join(self.evaluation.message.split()) or 'no detail'} ({run})"

    @property
    def reason(self) -> str:
        """Why no evaluation counts for this version; empty where one does."""
        asset = self.requirement.asset
        if self.state in ("passed", "failed"):
            return ""
        if self.expected_digest is None:
            return f"this version has no {asset}"
        if self.evaluation is None:
            return "never evaluated"
        if self.state == "untrusted":
            return self.evaluation.refused
        if self.state == "loosened":
            return f"passed under looser limits than those configured: {', '.join(self.loosened)}"
        if self.champion is not None:
            compared_with = f"champion {self.evaluation.champion}" if self.evaluation.champion else "no champion"
            return f"compared with {compared_with}, but now the champion is {self.champion or 'none'}"
        code = ", or the code that serves it," if asset == "onnx_model" else ""
        return (
            f"evaluated for {asset} {self.evaluation.digest[:12]}, but this version's {asset} is "
            f"{self.expected_digest[:12]}: a file of the version{code} has changed since"
        )

    @property
    def next_step(self) -> str:
        """What to do about it; empty where the check passed."""
        asset = self.requirement.asset
        if self.state == "passed":
            return ""
        if self.state == "failed":
            return f"fix the cause, then run {asset} again with everything downstream and all checks"
        if self.state == "loosened":
            return f"run the checks of {asset} again under the configured limits"
        return f"run {asset} again together with its checks"


@dataclass(frozen=True)
class Decision:
    """The gate's decision about one model version.

    Attributes
    ----------
    version : str
    findings : tuple of Finding
    files : mapping of str to str
        File -> SHA-256 of what it is about: an endpoint serves these bytes or none (`content.VersionContent.files`).
    objections : tuple of str
        What closes the gate besides the checks, such as that the endpoint was rolled back from this version.
    """

    version: str
    findings: tuple[Finding, ...]
    files: Mapping[str, str] = field(default_factory=dict, hash=False)
    objections: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        # A gate without requirements stays closed.
        return bool(self.findings) and not self.objections and self._closed == 0

    @property
    def _closed(self) -> int:
        return sum(finding.state != "passed" for finding in self.findings)

    def explain(self) -> str:
        """One line for the decision, then one per objection and check; what keeps the gate closed comes first."""
        ordered = sorted(self.findings, key=lambda finding: finding.state == "passed")
        closed = self._closed
        lines = [
            f"the gate is {'open' if self.is_open else 'closed'} for model version {self.version}: "
            + (f"{closed} of {len(ordered)} required checks have not passed" if closed else "every check passed")
            + ("; see below" if self.objections else ""),
            *(f"  {objection}" for objection in self.objections),
        ]
        for finding in ordered:
            details = "; ".join(filter(None, (finding.reason, finding.message)))
            next_step = f". What to do: {finding.next_step}" if finding.next_step else ""
            lines.append(f"  {finding.requirement} {finding.state}{f': {details}' if details else ''}{next_step}")
        return "\n".join(lines)

    def markdown(self) -> str:
        """The findings as a Markdown table."""
        rows = [
            (
                finding.requirement,
                finding.state,
                ". ".join(filter(None, (finding.reason, finding.message, finding.next_step))),
            )
            for finding in self.findings
        ]
        rows = [*(("", "closed", objection) for objection in self.objections), *rows]
        return markdown.table(("check", "state", "result and next step"), rows)


class GateClosedError(BridgeAssetsError, RuntimeError):
    """The gate is closed for a model version. Carries the decision."""

    def __init__(self, decision: Decision, why: str = "") -> None:
        self.decision = decision
        super().__init__(f"{why}{decision.explain()}")


@dataclass(frozen=True)
class Override:
    """A closed gate was overridden on purpose, and why."""

    reason: str


def decide(
    content: VersionContent,
    evaluations: Iterable[CheckEvaluation],
    required: Iterable[Requirement] = REQUIRED_CHECKS,
    champion: str | None = None,
    settings: GateSettings | None = None,
) -> Decision:
    """Decide whether a model version may be deployed.

    Parameters
    ----------
    content : VersionContent
        What would be deployed (`content.read_content`).
    evaluations : iterable of CheckEvaluation
        All recorded evaluations, in any order, from any run. Those of checks that are not required are ignored.
    required : iterable of Requirement
    champion : str, optional
        Today's champion, empty if there is none: a comparison with another one is outdated, unless this version is the
        champion itself. None = whichever champion the comparison was with.
    settings : GateSettings, optional
        Today's limits: a pass under looser ones does not count. None = whichever limits it was judged with.

    Returns
    -------
    Decision
        For each check the newest evaluation of this version's digest decides; of two with the same timestamp, the
        failed one. Evaluations that are refused never decide.
    """
    recorded: dict[Requirement, list[CheckEvaluation]] = {}
    for evaluation in evaluations:
        recorded.setdefault(Requirement(evaluation.asset, evaluation.check), []).append(evaluation)
    findings = []
    for requirement in required:
        finding = _evaluate_requirement(
            requirement, content.stages.get(requirement.asset), recorded.get(requirement, [])
        )
        if requirement == CHAMPION_REQUIREMENT and champion not in (None, content.version):
            finding = _with_champion(finding, champion)
        if settings is not None:
            finding = _with_limits(finding, settings)
        findings.append(finding)
    return Decision(content.version, tuple(findings), content.files)


def require_open_gate(decision: Decision, override_reason: str | None) -> Override | None:
    """Return when the gate is open, or when a reason is given to override a closed one.

    Returns
    -------
    Override or None
        The override, to be recorded; None when the gate is open.

    Raises
    ------
    GateClosedError
        If the gate is closed and no reason of at least ten characters is given.
    """
    if decision.is_open:
        return None
    reason = (override_reason or "").strip()
    if len(reason) >= MIN_REASON_LENGTH:
        return Override(reason)
    if override_reason:
        too_short = f"the override reason {override_reason!r} is too short (at least {MIN_REASON_LENGTH} characters); "
        raise GateClosedError(decision, too_short)
    raise GateClosedError(decision)


def _evaluate_requirement(
    requirement: Requirement, expected: str | None, recorded: Sequence[CheckEvaluation]
) -> Finding:
    if not expected:
        return Finding(requirement, "missing", None)
    of_version = [evaluation for evaluation in recorded if evaluation.digest == expected]
    if counted := [evaluation for evaluation in of_version if not evaluation.refused]:
        deciding = _newest(counted)
        return Finding(requirement, "passed" if deciding.passed else "failed", expected, deciding)
    if of_version:
        return Finding(requirement, "untrusted", expected, _newest(of_version))
    if recorded:
        return Finding(requirement, "outdated", expected, _newest(recorded))
    return Finding(requirement, "missing", expected)


def _with_champion(finding: Finding, champion: str | None) -> Finding:
    """Outdated, if a passed comparison was with another champion."""
    if finding.state != "passed" or finding.evaluation is None or finding.evaluation.champion == champion:
        return finding
    return replace(finding, state="outdated", champion=champion)


def _with_limits(finding: Finding, settings: GateSettings) -> Finding:
    """Loosened, if a check passed under looser limits than these."""
    if finding.state != "passed" or finding.evaluation is None:
        return finding
    looser = looser_limits(finding.evaluation.limits, limits_of(finding.requirement.check, settings))
    return replace(finding, state="loosened", loosened=tuple(looser)) if looser else finding


def _newest(evaluations: Sequence[CheckEvaluation]) -> CheckEvaluation:
    return max(evaluations, key=lambda evaluation: (evaluation.timestamp, not evaluation.passed))
