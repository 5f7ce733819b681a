"""Deployment and rollback, the same steps on every remote target.

A version is bundled (`bundle`), the bundle is kept with the version (`kept_bundles`), provisioned next to the current
slot, and tested with a canary (`runtime.probe`): for a fixed batch it must return the predictions that the model gave
when it was exported. Only then is the traffic switched, the canary sent again to the public address, and the previous
slot retired. On any failure the current slot keeps running and the new one is removed. Repeating a deployment that was
killed at any point ends in the same state.

The module of a target contains only what differs there: how to provision, predict, switch the traffic and retire.
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

#: Length of a deployment history, the current slot included.
HISTORY_LIMIT = 4


@dataclass(frozen=True)
class TargetState:
    """What we have deployed at a target.

    Attributes
    ----------
    history : tuple of str
        Slots that received the traffic, oldest first; the last one receives it now. Empty before the first deployment.
    resources : frozenset of str
        Slots that exist there, complete or not, and cost money while they do: everything that `retire` would remove.
    """

    history: tuple[str, ...] = ()
    resources: frozenset[str] = frozenset()

    @property
    def current_slot(self) -> str | None:
        return self.history[-1] if self.history else None


class Target(Protocol):
    """Somewhere a model version can be deployed. A slot is one bundle deployed there (`Bundle.slot`)."""

    @property
    def kind(self) -> str:
        """`sagemaker`, `kubernetes` ..."""
        ...

    @property
    def address(self) -> str:
        """The public address, where clients send requests."""
        ...

    @property
    def console_url(self) -> str:
        """Page of the provider's console, or an empty string."""
        ...

    @property
    def cost(self) -> str:
        """What keeping it deployed costs, in words, from the settings."""
        ...

    @property
    def runtime_config(self) -> Mapping[str, Any]:
        """The settings that a slot runs under: image, machine, replicas. Other settings give another slot."""
        ...

    def exclusive_lock(self, action: str) -> AbstractContextManager[None]:
        """Lock the target against other deployments. Raises DeploymentError if one is in progress."""
        ...

    def state(self) -> TargetState:
        """What we have deployed there. Raises OwnershipError if the name belongs to another owner."""
        ...

    def provision(self, bundle: Bundle) -> None:
        """Create a slot next to the current one, without traffic; return when it is ready to serve. A complete slot is
        reused, a broken one is created again.
        """
        ...

    def predict(self, probe: Probe, slot: str | None) -> np.ndarray:
        """Predictions for the probe's rows from a slot; None = from the public address. Shape (n,)."""
        ...

    def switch_traffic(self, history: tuple[str, ...]) -> None:
        """Send all the traffic to the last slot of the history, and store the history."""
        ...

    def repair(self, bundle: Bundle) -> None:
        """Create again what was deleted by hand of the slot that has the traffic. Changes nothing that is there."""
        ...

    def retire(self, slot: str) -> Iterable[str]:
        """Remove everything of a slot that costs money; return the names of the removed resources."""
        ...


@dataclass(frozen=True)
class Deployment:
    """Result of a deployment or a rollback.

    Attributes
    ----------
    target : str
        Kind of endpoint: `local`.
    version : str
        The model version that is being served now.
    address : str
        Where it is served: a folder or a URL.
    previous : str or None
        The version that a rollback would return to.
    canary : CanaryReport
        From the public address.
    removed : tuple of str
        Removed resources: the previous slot, leftovers of killed runs.
    """

    target: str
    version: str
    address: str
    previous: str | None
    canary: CanaryReport
    removed: tuple[str, ...] = ()


def deploy(target: Target, bundle: Bundle) -> Deployment:
    """Deploy a bundle. The caller has checked the gate.

    Deploying the current slot again creates what was deleted of it by hand, sends the canary again and removes
    leftovers; it changes nothing else.

    Raises
    ------
    DeploymentError
        If the deployment failed; the current slot keeps serving. Also if only the previous slot could not be removed;
        the message then says so.
    StorageError
        If the bundle could not be kept with its model version. Nothing was changed at the target.
    CanaryMismatch
        If the slot, or the public address after the switch, does not return the exported model's predictions for the
        probe.
    """
    bundle = bundle.with_runtime_config(target.runtime_config)
    with target.exclusive_lock(f"deploying model version {bundle.version}"):
        previous = target.state()
        bundle = keep_bundle(bundle)  # before anything is created: a rollback to this slot needs it
        stale = previous.resources - {previous.current_slot, bundle.slot}
        if previous.current_slot == bundle.slot:
            target.repair(bundle)
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
    """Roll back to the previous slot, or to the last slot of a named version that was deployed before.

    The slot's kept bundle, with model and code, is provisioned and tested like any other deployment. The gate is not
    checked again, because every version in the history has passed it.

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
        If there is no such slot, its bundle is missing or damaged, or none could be deployed. The current slot keeps
        serving.
    """
    history = target.state().history
    deployed_versions = [version_of(slot) for slot in history]
    if version is not None:
        slots = [slot for slot in history if version_of(slot) == version]
        if not slots:
            raise DeploymentError(
                f"cannot roll back to version {version!r}",
                where=target.address,
                why=f"Versions that were deployed here: {', '.join(deployed_versions) or 'none'}",
                do="name one of these, or deploy the version, which checks the gate",
            )
        return deploy(target, open_bundle(slots[-1]))
    failures: list[str] = []
    for slot in reversed(history[:-1]):
        try:
            return deploy(target, open_bundle(slot))
        except Exception as error:
            failures.append(f"{version_of(slot)}: {error_summary(error)}")
    raise DeploymentError(
        "there is no previous version to roll back to" if not failures else "no previous version could be deployed",
        where=target.address,
        why="; ".join(failures)
        or f"The current version is {deployed_versions[-1] if deployed_versions else 'none'}; none was deployed before",
        do="deploy a version",
    )


def version_of(slot: str) -> str:
    """The model version in the name of a slot."""
    return slot.partition("-")[0].removeprefix("m")


def resolve_history(current: str | None, stored: Iterable[str]) -> tuple[str, ...]:
    """The deployment history, from the slot with the traffic and the history that a target has stored.

    The two are rarely written in one step: slots stored after the current one never received the traffic, or were
    rolled back.
    """
    history = tuple(stored)
    if current is None:
        return ()
    return _append_to_history(history, current)


def _append_to_history(history: tuple[str, ...], slot: str) -> tuple[str, ...]:
    """The history after a slot has received the traffic. A rollback drops the later versions, and only the latest slot
    of each version is kept.
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
    """Retire slots that killed deployments left behind. A failure does not stop the deployment: `_remove_old_slots`
    tries again.
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
            f"model version {bundle.version} is being served, but the previous slot was not removed",
            where=target.address,
            why=error_summary(error),
            do="deploy it again, which removes the leftovers; until then they may cost money",
        ) from error


def _undo(target: Target, previous: TargetState, slot: str, error: BaseException) -> None:
    """Switch back to the previous slot and remove the new one. A failure here is added to the error as a note."""
    try:
        if target.state().current_slot == slot and previous.current_slot is not None:
            target.switch_traffic(previous.history)
        _retire(target, [slot])
    except Exception as failure:
        error.add_note(
            f"The undo failed as well ({error_summary(failure)}): deploy again, which removes the leftovers."
        )
