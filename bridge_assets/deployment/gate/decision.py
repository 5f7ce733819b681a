"""The gate: may this model version be deployed?

Every required check must have passed about exactly the bytes of this version, in whatever run it was evaluated. The
gate decides from recorded evaluations it is given; it knows neither Dagster nor any endpoint. How evaluations are read
belongs to `orchestration.evidence`, the checks themselves to `orchestration.checks`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from bridge_assets.errors import BridgeAssetsError

#: An override takes a reason that somebody can understand later: a single letter is none.
MIN_REASON_LENGTH = 10

State = Literal["passed", "failed", "outdated", "missing"]


@dataclass(frozen=True)
class Requirement:
    """A check that a version must have passed; `asset` is the stage in its manifest whose digest the check judges."""

    asset: str
    check: str

    def __str__(self) -> str:
        return f"{self.asset}:{self.check}"


#: Asked once more when a version is registered: the champion may be another one by then.
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
        Digest of what was judged.
    timestamp : float
        Time of the evaluation, Unix seconds.
    run_id : str
        The run it was evaluated in.
    message : str
        What the check said.
    """

    asset: str
    check: str
    passed: bool
    digest: str
    timestamp: float
    run_id: str
    message: str = ""


@dataclass(frozen=True)
class Finding:
    """What the evaluations say of one requirement.

    Attributes
    ----------
    requirement : Requirement
    state : {"passed", "failed", "outdated", "missing"}
        `outdated`: evaluated, but about other bytes than this version's. `missing`: never evaluated, or this version
        has no such stage.
    expected_digest : str or None
        Digest of the stage in this version; None = the stage was never made.
    evaluation : CheckEvaluation or None
        The evaluation that decided; of an outdated check the newest one.
    """

    requirement: Requirement
    state: State
    expected_digest: str | None
    evaluation: CheckEvaluation | None = None

    @property
    def message(self) -> str:
        """What the deciding evaluation said, on one line, and in which run."""
        if self.evaluation is None:
            return ""
        return f"{' '.join(self.evaluation.message.split()) or 'no detail'} (run {self.evaluation.run_id[:8]})"

    @property
    def next_step(self) -> str:
        asset = self.requirement.asset
        if self.state == "passed":
            return ""
        if self.expected_digest is None:
            return f"this version has no {asset}: materialise {asset} together with its checks"
        if self.evaluation is None:
            return f"it was never evaluated: materialise {asset} together with its checks"
        if self.state == "failed":
            return f"correct what it says, then materialise {asset} and what follows it, together with the checks"
        return (
            f"it judged {self.evaluation.digest[:12]}, this version's {asset} is {self.expected_digest[:12]}: "
            f"materialise {asset} together with its checks"
        )


@dataclass(frozen=True)
class Decision:
    """The gate's answer about one model version."""

    version: str
    findings: tuple[Finding, ...]

    @property
    def is_open(self) -> bool:
        # A gate that asks for nothing lets nothing through.
        return bool(self.findings) and all(finding.state == "passed" for finding in self.findings)

    def explain(self) -> str:
        """One line for the answer, then one a check: what stands in the way first."""
        ordered = sorted(self.findings, key=lambda finding: finding.state == "passed")
        closed = sum(finding.state != "passed" for finding in self.findings)
        lines = [
            f"the gate is {'open' if self.is_open else 'closed'} for model version {self.version}: "
            + (f"{closed} of {len(ordered)} checks stand in the way" if closed else f"{len(ordered)} checks passed")
        ]
        for finding in ordered:
            message = f": {finding.message}" if finding.evaluation else ""
            next_step = f". What to do: {finding.next_step}" if finding.next_step else ""
            lines.append(f"  {finding.requirement} {finding.state}{message}{next_step}")
        return "\n".join(lines)

    def markdown(self) -> str:
        """The findings as a Markdown table."""
        lines = ["|check|state|what it said and what to do|", "|---|---|---|"]
        for finding in self.findings:
            message = ". ".join(filter(None, (finding.message, finding.next_step)))
            cells = (str(finding.requirement), finding.state, message)
            lines.append(f"|{'|'.join(cell.replace('|', chr(92) + '|') for cell in cells)}|")
        return "\n".join(lines)


class GateClosedError(BridgeAssetsError, RuntimeError):
    """A model version was not let through. Carries the decision."""

    def __init__(self, decision: Decision, why: str = "") -> None:
        self.decision = decision
        super().__init__(f"{why}{decision.explain()}")


@dataclass(frozen=True)
class Override:
    """A closed gate was passed on purpose, and why."""

    reason: str


def decide(
    version: str,
    stages: Mapping[str, str],
    evaluations: Iterable[CheckEvaluation],
    required: Iterable[Requirement] = REQUIRED_CHECKS,
) -> Decision:
    """Decide about a model version.

    Parameters
    ----------
    version : str
        Its name.
    stages : mapping
        Its manifest: stage -> digest.
    evaluations : iterable of CheckEvaluation
        Everything recorded about the required checks, in any order, from any run. Others are ignored.
    required : iterable of Requirement

    Returns
    -------
    Decision
        Of each check the newest evaluation about this version's digest decides; of two at one moment, the failed one.
    """
    recorded: dict[Requirement, list[CheckEvaluation]] = {}
    for evaluation in evaluations:
        recorded.setdefault(Requirement(evaluation.asset, evaluation.check), []).append(evaluation)
    return Decision(
        version,
        tuple(_evaluate_requirement(requirement, stages.get(requirement.asset), recorded) for requirement in required),
    )


def require_open_gate(decision: Decision, override_reason: str | None) -> Override | None:
    """Pass when the gate is open, or when a reason is given for passing a closed one.

    Returns
    -------
    Override or None
        The override, for the record; None when the gate was open.

    Raises
    ------
    GateClosedError
        If the gate is closed and there is no reason of at least ten characters.
    """
    if decision.is_open:
        return None
    reason = (override_reason or "").strip()
    if len(reason) >= MIN_REASON_LENGTH:
        return Override(reason)
    if override_reason:
        too_short = f"{override_reason!r} is no reason to override (at least {MIN_REASON_LENGTH} characters); "
        raise GateClosedError(decision, too_short)
    raise GateClosedError(decision)


def _evaluate_requirement(
    requirement: Requirement, expected: str | None, recorded: Mapping[Requirement, list[CheckEvaluation]]
) -> Finding:
    of_check = recorded.get(requirement, [])
    if not expected:
        return Finding(requirement, "missing", None)
    matching = [evaluation for evaluation in of_check if evaluation.digest == expected]
    if matching:
        deciding = _newest(matching)
        return Finding(requirement, "passed" if deciding.passed else "failed", expected, deciding)
    if of_check:
        return Finding(requirement, "outdated", expected, _newest(of_check))
    return Finding(requirement, "missing", expected)


def _newest(evaluations: list[CheckEvaluation]) -> CheckEvaluation:
    return max(evaluations, key=lambda evaluation: (evaluation.timestamp, not evaluation.passed))
