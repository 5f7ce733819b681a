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

from bridge_assets.deployment.core.kept_bundles import keep_bundle
from bridge_assets.errors import DeploymentError, error_summary
from bridge_assets.runtime.probe import CanaryReport, Probe, compare_answers

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.deployment.core.bundle import Bundle

#: Slots that a target remembers having answered, the current one among them.
HISTORY_LIMIT = 4


@dataclass(frozen=True)
class TargetState:
    """What is ours at a target.

    Attributes
    ----------
    history : tuple of str
        Slots that took the traffic, in order; the last one takes it now. Empty before the first deployment.
    resources : frozenset of str
        Slots that exist there and cost something while they do, whole or not: whatever a retirement would remove.
    """

    history: tuple[str, ...] = ()
    resources: frozenset[str] = frozenset()

    @property
    def current_slot(self) -> str | None:
        return self.history[-1] if self.history else None


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
    def console_url(self) -> str:
        """Where a person looks at it: a page of the provider's console, or nothing."""
        ...

    @property
    def cost(self) -> str:
        """What standing there costs, in words, from the settings."""
        ...

    @property
    def runtime_config(self) -> Mapping[str, Any]:
        """The settings that a slot runs under: image, machine, how many. Other ones are another slot."""
        ...

    def exclusive_lock(self, action: str) -> AbstractContextManager[None]:
        """Hold the target: no other deployment meanwhile. Raises DeploymentError where one is under way."""
        ...

    def state(self) -> TargetState:
        """What is ours there. Raises OwnershipError where the name is somebody else's."""
        ...

    def provision(self, bundle: Bundle) -> None:
        """Put a slot beside what runs, without traffic; return when it could answer. What is there and whole is kept,
        what is there and broken is made anew.
        """
        ...

    def predict(self, probe: Probe, slot: str | None) -> np.ndarray:
        """Probabilities of the probe's rows from a slot; None = from the front door."""
        ...

    def switch_traffic(self, history: tuple[str, ...]) -> None:
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
    bundle = bundle.with_runtime_config(target.runtime_config)
    with target.exclusive_lock(f"deploying model version {bundle.version}"):
        previous = target.state()
        bundle = keep_bundle(bundle)  # before anything is created: a rollback to this slot needs it
        stale = previous.resources - {previous.current_slot, bundle.slot}
        if previous.current_slot == bundle.slot:
            return _result(target, bundle, previous.history, _retire(target, stale))
        removed = _clean_stale(target, stale)
        history = _append_to_history(previous.history, bundle.slot)
        try:
            target.provision(bundle)
            compare_answers(
                target.predict(bundle.probe, bundle.slot), bundle.probe, f"{target.address}, slot {bundle.slot}"
            )
            target.switch_traffic(history)
            report = compare_answers(target.predict(bundle.probe, None), bundle.probe, target.address)
        except BaseException as error:
            _undo(target, previous, bundle.slot, error)
            raise
        removed += _remove_old_slots(target, bundle)
        return _result(target, bundle, history, removed, report)


def rollback(target: Target, open_bundle: Callable[[str], Bundle], version: str | None = None) -> Deployment:
    """Go back to the slot that answered before, or to the last slot of a named version that answered.

    The slot's kept bundle, model and code, is provisioned and tested like any other deployment. The gate is not asked
    again: it passed whatever answered.

    Parameters
    ----------
    target : Target
    open_bundle : callable
        Slot -> its kept bundle (`open_kept_bundle`); raises DeploymentError if it is missing or damaged.
    version : str, optional
        A version in the deployment history. Default: the slot before the current one, or, if that one cannot be
        deployed, the one before it, and so on.

    Raises
    ------
    DeploymentError
        If there is no such slot, its bundle is missing or damaged, or none could be deployed. The current slot goes on
        answering.
    """
    history = target.state().history
    deployed_versions = [version_of(slot) for slot in history]
    if version is not None:
        slots = [slot for slot in history if version_of(slot) == version]
        if not slots:
            raise DeploymentError(
                f"there is no version {version!r} to go back to",
                where=target.address,
                why=f"These answered here: {', '.join(deployed_versions) or 'none'}",
                do=f"name one of these, or deploy it: {target.kind}_endpoint asks the gate",
            )
        return deploy(target, open_bundle(slots[-1]))
    failures: list[str] = []
    for slot in reversed(history[:-1]):
        try:
            return deploy(target, open_bundle(slot))
        except Exception as error:
            failures.append(f"{version_of(slot)}: {error_summary(error)}")
    raise DeploymentError(
        "there is no previous version to go back to" if not failures else "no previous version could be deployed",
        where=target.address,
        why="; ".join(failures)
        or f"Current is {deployed_versions[-1] if deployed_versions else 'none'}, and nothing was before it",
        do="deploy a version",
    )


def version_of(slot: str) -> str:
    """The model version in the name of a slot."""
    return slot.partition("-")[0].removeprefix("m")


def resolve_history(current: str | None, stored: Iterable[str]) -> tuple[str, ...]:
    """The trail, from the slot that takes the traffic and the trail a target has kept.

    The two are rarely written in one step. What was kept after the last mention of the current slot has not happened,
    or was rolled back.
    """
    history = tuple(stored)
    if current is None:
        return ()
    return _append_to_history(history, current)


def _append_to_history(history: tuple[str, ...], slot: str) -> tuple[str, ...]:
    """The trail once a slot answers: going back to a version that answered forgets what came after it, and of one
    version the slot that answered last stands there.
    """
    versions = [version_of(each) for each in history]
    if version_of(slot) in versions:
        history = history[: versions.index(version_of(slot))]
    return (*history, slot)[-HISTORY_LIMIT:]


def _result(
    target: Target, bundle: Bundle, history: tuple[str, ...], removed: list[str], report: CanaryReport | None = None
) -> Deployment:
    if report is None:
        report = compare_answers(target.predict(bundle.probe, None), bundle.probe, target.address)
    previous = version_of(history[-2]) if len(history) > 1 else None
    return Deployment(target.kind, bundle.version, target.address, previous, report, tuple(removed))


def _retire(target: Target, slots: Iterable[str | None]) -> list[str]:
    return [name for slot in sorted(filter(None, slots)) for name in target.retire(slot)]


def _clean_stale(target: Target, stale: Iterable[str]) -> list[str]:
    """Retire what killed deployments left. What cannot be removed now keeps no version out: `_remove_old_slots` tries
    again.
    """
    try:
        return _retire(target, stale)
    except DeploymentError:
        return []


def _remove_old_slots(target: Target, bundle: Bundle) -> list[str]:
    try:
        return _retire(target, target.state().resources - {bundle.slot})
    except Exception as error:
        raise DeploymentError(
            f"model version {bundle.version} answers, but what ran before it was not removed",
            where=target.address,
            why=error_summary(error),
            do="deploy it again, which removes what is left: until then it may cost something",
        ) from error


def _undo(target: Target, previous: TargetState, slot: str, error: BaseException) -> None:
    """Bring back what answered and take the slot away. What fails here is noted on the error, which goes on."""
    try:
        if target.state().current_slot == slot and previous.current_slot is not None:
            target.switch_traffic(previous.history)
        _retire(target, [slot])
    except Exception as failure:
        error.add_note(
            f"Taking it back did not end either ({error_summary(failure)}): deploy again, which removes what is left."
        )
