"""What a check judged, in the metadata of its result: written by the checks, read by the gate.

about       digest of the bytes that were evaluated, or one digest per survey year
champion    the version that `not_worse_than_champion` compared with; empty = there was no champion
failed_years    the survey years that failed, of a check that failed with one digest per survey year
limits      setting -> value that it was judged with
judged_at, signature    where the environment holds a key (`deployment.gate.signature`)
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from bridge_assets.deployment.gate.limits import Limit
from bridge_assets.deployment.gate.signature import KEY_VARIABLE, gate_key, is_signed, sign

_ABOUT, _CHAMPION, _LIMITS, _JUDGED_AT, _SIGNATURE = "about", "champion", "limits", "judged_at", "signature"
_FAILED_YEARS = "failed_years"


@dataclass(frozen=True)
class Judged:
    """What a check judged.

    Attributes
    ----------
    about : str, or dict of str to str
        Digest of the bytes that were evaluated, or one digest per survey year.
    limits : mapping of str to float or str
        Setting -> value that it was judged with.
    champion : str or None
        The version that it was compared with; empty = there was no champion, None = it compares with none.
    failed_years : tuple of str
        The survey years in `about` that failed, if the check says which; the others passed.
    """

    about: str | Mapping[str, str]
    limits: Mapping[str, Limit] = field(default_factory=dict)
    champion: str | None = None
    failed_years: tuple[str, ...] = ()

    def verdicts(self, passed: bool) -> list[tuple[str, bool]]:
        """Each digest, and whether what it stands for passed, given whether the check did as a whole."""
        if not isinstance(self.about, Mapping):
            return [(self.about, passed)]
        others = passed or bool(self.failed_years)
        return [(str(digest), others and year not in self.failed_years) for year, digest in self.about.items()]

    def metadata(self) -> dict[str, Any]:
        """As metadata of a check result, without a signature."""
        about = self.about
        return {
            _ABOUT: dg.MetadataValue.text(about) if isinstance(about, str) else dg.MetadataValue.json(dict(about)),
            **({_LIMITS: dg.MetadataValue.json(dict(self.limits))} if self.limits else {}),
            **({} if self.champion is None else {_CHAMPION: self.champion}),
            **({_FAILED_YEARS: dg.MetadataValue.json(list(self.failed_years))} if self.failed_years else {}),
        }

    def signed_metadata(self, context: dg.AssetCheckExecutionContext, passed: bool) -> dict[str, Any]:
        """The same, signed for this check in this run where the environment holds a key."""
        key = gate_key()
        if key is None:
            return self.metadata()
        [spec] = context.check_specs
        now = time.time()
        signature = sign(key, _payload(spec.asset_key, spec.name, passed, context.run.run_id, self, now))
        return {**self.metadata(), _JUDGED_AT: now, _SIGNATURE: signature}


def judged_of(evaluation: dg.AssetCheckEvaluation) -> Judged:
    """What a recorded evaluation judged, or claims to have."""
    about, limits, champion, failed = (_value(evaluation, key) for key in (_ABOUT, _LIMITS, _CHAMPION, _FAILED_YEARS))
    return Judged(
        about if isinstance(about, dict) else str(about),
        limits if isinstance(limits, dict) else {},
        champion if isinstance(champion, str) else None,
        tuple(map(str, failed)) if isinstance(failed, list) else (),
    )


def signed_time(evaluation: dg.AssetCheckEvaluation) -> float:
    """When a signed evaluation was made, Unix seconds: signed too, so that it cannot be replayed as a newer one."""
    value = _value(evaluation, _JUDGED_AT)
    return float(value) if isinstance(value, int | float) else 0.0


def signature_problem(key: bytes, evaluation: dg.AssetCheckEvaluation, run_id: str) -> str:
    """Why a recorded evaluation is not signed with this key; empty = it is."""
    signature = _value(evaluation, _SIGNATURE)
    if not isinstance(signature, str):
        return f"a pass was reported without a signature, but {KEY_VARIABLE} is set"
    payload = _payload(
        evaluation.asset_key,
        evaluation.check_name,
        evaluation.passed,
        run_id,
        judged_of(evaluation),
        signed_time(evaluation),
    )
    if not is_signed(key, payload, signature):
        return f"a pass was reported, but its signature was not made with {KEY_VARIABLE} for this check in this run"
    return ""


def _payload(
    asset: dg.AssetKey, check: str, passed: bool, run_id: str, judged: Judged, judged_at: float
) -> dict[str, Any]:
    about = judged.about if isinstance(judged.about, str) else dict(judged.about)
    return {
        "asset": asset.to_user_string(),
        "check": check,
        "passed": passed,
        "run": run_id,
        _ABOUT: about,
        _LIMITS: dict(judged.limits),
        _CHAMPION: judged.champion,
        _JUDGED_AT: judged_at,
        **({_FAILED_YEARS: list(judged.failed_years)} if judged.failed_years else {}),
    }


def _value(evaluation: dg.AssetCheckEvaluation, key: str) -> Any:
    entry = evaluation.metadata.get(key)
    return None if entry is None else entry.value
