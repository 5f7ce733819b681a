"""One idea of a deployment, on any target.

A version is packaged (`bundle`), placed beside what runs, and sent a canary (`probe`): a fixed batch must come back
equal to the artifact's own answers. Only then does the traffic move to it, the front door is asked once more, and what
ran before is retired. On any failure what ran goes on running, and what was placed is taken away. Doing it again after
a kill at any point ends in the same state.

A target's file (`local` and its siblings) holds only what differs: how to place, ask, shift and retire there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bridge_assets.errors import DeploymentError, in_one_line
from bridge_assets.runtime.probe import CanaryReport, Probe, compare

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.deployment.core.bundle import Bundle

#: Slots that a target remembers having answered, the current one among them.
TRAIL_KEPT = 4


@dataclass(frozen=True)
class Standing:
    """What is ours at a target.

    Attributes
    ----------
    trail : tuple of str
        Slots that took the traffic, in order; the last one takes it now. Empty before the first deployment.
    placed : frozenset of str
        Slots that exist there and cost something while they do, whole or not: whatever a retirement would remove.
    """

    trail: tuple[str, ...] = ()
    placed: frozenset[str] = frozenset()

    @property
    def current(self) -> str | None:
        return self.trail[-1] if self.trail else None


class Target(Protocol):
    """Somewhere a model version can be deployed. A slot is one version in place there (`Bundle.slot`)."""

    @property
    def kind(self) -> str:
        """`sagemaker`, `kubernetes` ..."""
        ...

    @property
    def address(self) -> str:
        """The front door: where predictions are asked for."""
        ...

    @property
    def page(self) -> str:
        """Where a person looks at it: a page of the provider's console, or nothing."""
        ...

    @property
    def cost(self) -> str:
        """What standing there costs, in words, from the settings."""
        ...

    @property
    def terms(self) -> Mapping[str, Any]:
        """The settings that a slot runs under: image, machine, how many. Other ones are another slot."""
        ...

    def alone(self, doing: str) -> AbstractContextManager[None]:
        """Hold the target: no other deployment meanwhile. Raises DeploymentError where one is under way."""
        ...

    def standing(self) -> Standing:
        """What is ours there. Raises NotOurs where the name is somebody else's."""
        ...

    def place(self, bundle: Bundle) -> None:
        """Put a slot beside what runs, without traffic; return when it could answer. What is there and whole is kept,
        what is there and broken is made anew.
        """
        ...

    def ask(self, probe: Probe, slot: str | None) -> np.ndarray:
        """Probabilities of the probe's rows from a slot; None = from the front door."""
        ...

    def shift(self, trail: tuple[str, ...]) -> None:
        """Give all the traffic to the last slot of the trail, and keep the trail."""
        ...

    def retire(self, slot: str) -> Iterable[str]:
        """Remove everything of a slot that costs something; name what was removed. Of what is gone, nothing."""
        ...


@dataclass(frozen=True)
class Deployment:
    """What stands after a deployment or a rollback.

    Attributes
    ----------
    target : str
        Kind of endpoint: `local`.
    version : str
        The model version that answers now.
    address : str
        Where it answers: a folder or a URL.
    previous : str or None
        The version that a rollback would go to.
    canary : CanaryReport
        Of the front door.
    removed : tuple of str
        What was cleaned away: what ran before, leftovers of killed runs.
    """

    target: str
    version: str
    address: str
    previous: str | None
    canary: CanaryReport
    removed: tuple[str, ...] = ()


def deploy(target: Target, bundle: Bundle) -> Deployment:
    """Take a model version. The caller has asked the gate.

    Deploying what is current, under the settings it runs under, changes nothing, but sends the canary again and removes
    what is left over.

    Raises
    ------
    DeploymentError
        If it did not happen: what answered before goes on answering. Or if only what ran before could not be removed,
        which the message says.
    CanaryMismatch
        If the slot, or the front door after the shift, does not answer the probe as the artifact did.
    """
    bundle = bundle.under(target.terms)
    with target.alone(f"deploying model version {bundle.version}"):
        before = target.standing()
        left = before.placed - {before.current, bundle.slot}
        if before.current == bundle.slot:
            return _stands(target, bundle, before.trail, _retire(target, left))
        removed = _swept(target, left)
        trail = _trail_with(before.trail, bundle.slot)
        try:
            target.place(bundle)
            compare(target.ask(bundle.probe, bundle.slot), bundle.probe, f"{target.address}, slot {bundle.slot}")
            target.shift(trail)
            report = compare(target.ask(bundle.probe, None), bundle.probe, target.address)
        except BaseException as error:
            _undo(target, before, bundle.slot, error)
            raise
        removed += _clean(target, bundle)
        return _stands(target, bundle, trail, removed, report)


def rollback(target: Target, bundle_of: Callable[[str], Bundle], version: str | None = None) -> Deployment:
    """Go back to the previous healthy version, or to a named one that answered: it is placed and asked like any other.

    The gate is not asked again: it let through whatever answered.

    Parameters
    ----------
    target : Target
    bundle_of : callable
        Version -> its bundle; raises where its files are not at hand.
    version : str, optional
        One of the trail. Default: the version that answered before, or, where that one cannot be deployed, the one
        before it, and so on.

    Raises
    ------
    DeploymentError
        If there is none, none of them could be deployed, or the named one never answered there. What answered goes on
        answering.
    """
    trail = target.standing().trail
    answered = [version_of(slot) for slot in trail]
    if version is not None:
        if version not in answered:
            raise DeploymentError(
                f"there is no version {version!r} to go back to",
                where=target.address,
                why=f"These answered here: {', '.join(answered) or 'none'}",
                do=f"name one of these, or deploy it: {target.kind}_endpoint asks the gate",
            )
        return deploy(target, bundle_of(version))
    refused: list[str] = []
    for before in reversed(answered[:-1]):
        try:
            return deploy(target, bundle_of(before))
        except Exception as error:
            refused.append(f"{before}: {in_one_line(error)}")
    raise DeploymentError(
        "there is no previous version to go back to" if not refused else "no previous version could be deployed",
        where=target.address,
        why="; ".join(refused) or f"Current is {answered[-1] if answered else 'none'}, and nothing was before it",
        do="deploy a version",
    )


def version_of(slot: str) -> str:
    """The model version in the name of a slot."""
    return slot.partition("-")[0].removeprefix("m")


def trail_of(current: str | None, kept: Iterable[str]) -> tuple[str, ...]:
    """The trail, from the slot that takes the traffic and the trail a target has kept.

    The two are rarely written in one step. What was kept after the last mention of the current slot has not happened,
    or was rolled back.
    """
    trail = tuple(kept)
    if current is None:
        return ()
    return _trail_with(trail, current)


def _trail_with(trail: tuple[str, ...], slot: str) -> tuple[str, ...]:
    """The trail once a slot answers: going back to a version that answered forgets what came after it, and of one
    version the slot that answered last stands there.
    """
    versions = [version_of(each) for each in trail]
    if version_of(slot) in versions:
        trail = trail[: versions.index(version_of(slot))]
    return (*trail, slot)[-TRAIL_KEPT:]


def _stands(
    target: Target, bundle: Bundle, trail: tuple[str, ...], removed: list[str], report: CanaryReport | None = None
) -> Deployment:
    if report is None:
        report = compare(target.ask(bundle.probe, None), bundle.probe, target.address)
    previous = version_of(trail[-2]) if len(trail) > 1 else None
    return Deployment(target.kind, bundle.version, target.address, previous, report, tuple(removed))


def _retire(target: Target, slots: Iterable[str | None]) -> list[str]:
    return [name for slot in sorted(filter(None, slots)) for name in target.retire(slot)]


def _swept(target: Target, left: Iterable[str]) -> list[str]:
    """Retire what killed deployments left. What cannot be removed now keeps no version out: `_clean` tries again."""
    try:
        return _retire(target, left)
    except DeploymentError:
        return []


def _clean(target: Target, bundle: Bundle) -> list[str]:
    try:
        return _retire(target, target.standing().placed - {bundle.slot})
    except Exception as error:
        raise DeploymentError(
            f"model version {bundle.version} answers, but what ran before it was not removed",
            where=target.address,
            why=in_one_line(error),
            do="deploy it again, which removes what is left: until then it may cost something",
        ) from error


def _undo(target: Target, before: Standing, slot: str, error: BaseException) -> None:
    """Bring back what answered and take the slot away. What fails here is noted on the error, which goes on."""
    try:
        if target.standing().current == slot and before.current is not None:
            target.shift(before.trail)
        _retire(target, [slot])
    except Exception as failure:
        error.add_note(
            f"Taking it back did not end either ({in_one_line(failure)}): deploy again, which removes what is left."
        )
