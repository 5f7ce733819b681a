"""The one procedure: whatever fails, whenever it is killed, one version answers, and doing it again is the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.packing import pack, served_digests
from bridge_assets.deployment.core.target import TargetState, deploy, resolve_history, rollback, version_of
from bridge_assets.errors import CanaryMismatch, DeploymentError
from bridge_assets.runtime.package import Package
from bridge_assets.runtime.probe import Probe


class Killed(BaseException):
    """A kill: nothing of ours gets to do anything after it."""


@dataclass
class Shelf:
    """A target of its own: packages in a folder. Fails, or is killed, before the call of a number."""

    root: object
    slots: dict[str, Package] = field(default_factory=dict)
    trail: tuple[str, ...] = ()
    calls: list[str] = field(default_factory=list)
    fail_at: int = -1
    failure: BaseException = field(default_factory=lambda: OSError("the line was cut"))
    dead: bool = False
    wrong_behind_the_door: bool = False
    runtime_config: dict[str, str] = field(default_factory=dict)
    kind, address, console_url, cost = "shelf", "shelf://here", "", "nothing"

    @contextmanager
    def exclusive_lock(self, action: str) -> Iterator[None]:
        yield

    def _call(self, name: str) -> None:
        if self.dead:
            raise self.failure
        if len(self.calls) == self.fail_at:
            self.dead = isinstance(self.failure, Killed)
            self.fail_at = -1
            raise self.failure
        self.calls.append(name)

    def state(self) -> TargetState:
        self._call("standing")
        return TargetState(self.trail, frozenset(self.slots))

    def provision(self, bundle: Bundle) -> None:
        self._call("place")
        if bundle.slot not in self.slots:
            folder = self.root / f"{len(list(self.root.iterdir()))}"  # type: ignore[operator]
            self.slots[bundle.slot] = pack(bundle.model_version, served_digests(bundle.model_version), folder)

    def predict(self, probe: Probe, slot: str | None) -> np.ndarray:
        self._call("ask")
        if slot is None and self.wrong_behind_the_door:
            return np.zeros(len(probe.answers))
        return self.slots[slot or self.trail[-1]].load_model().fall_probability(probe.table()).to_numpy()

    def switch_traffic(self, history: tuple[str, ...]) -> None:
        self._call("shift")
        self.trail = history

    def retire(self, slot: str) -> Iterable[str]:
        self._call("retire")
        return [slot] if self.slots.pop(slot, None) else []


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    (tmp_path / "shelf").mkdir()
    return Shelf(tmp_path / "shelf")


@pytest.fixture
def bundles(model_versions) -> list[Bundle]:
    return [bundle_of(candidate) for candidate in model_versions]


def test_a_version_is_placed_asked_given_the_traffic_asked_again_and_the_old_one_retired(shelf, bundles):
    first = deploy(shelf, bundles[0])
    assert shelf.calls == ["standing", "place", "ask", "shift", "ask", "standing"]
    assert (first.version, first.previous, first.removed) == (bundles[0].version, None, ())
    second = deploy(shelf, bundles[1])
    assert (second.previous, second.removed) == (bundles[0].version, (bundles[0].slot,))
    assert shelf.trail == (bundles[0].slot, bundles[1].slot)
    assert list(shelf.slots) == [bundles[1].slot]


def test_deploying_what_answers_sends_the_canary_and_nothing_else(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.calls.clear()
    deploy(shelf, bundles[0])
    assert shelf.calls == ["standing", "ask"]


def calls_of(shelf: Shelf, bundles: list[Bundle]) -> int:
    deploy(shelf, bundles[0])
    before = len(shelf.calls)
    deploy(shelf, bundles[1])
    return len(shelf.calls) - before


@pytest.mark.parametrize("failure", [OSError("the line was cut"), Killed()], ids=["fails", "killed"])
def test_a_failure_or_a_kill_at_any_call_leaves_one_version_answering_and_again_is_the_end(tmp_path, bundles, failure):
    def fresh(name: str) -> Shelf:
        (tmp_path / name).mkdir()
        return Shelf(tmp_path / name, failure=failure)

    for call in range(calls_of(fresh("undisturbed"), bundles)):
        shelf = fresh(f"shelf{call}")
        deploy(shelf, bundles[0])
        shelf.fail_at = len(shelf.calls) + call
        with pytest.raises((type(failure), DeploymentError)):
            deploy(shelf, bundles[1])
        assert shelf.trail[-1] in shelf.slots
        shelf.dead = False
        if not isinstance(failure, Killed) and shelf.trail[-1] == bundles[0].slot:
            assert list(shelf.slots) == [bundles[0].slot]
        deploy(shelf, bundles[1])
        assert shelf.trail == (bundles[0].slot, bundles[1].slot)
        assert list(shelf.slots) == [bundles[1].slot]


def test_a_wrong_model_behind_the_front_door_is_taken_back(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.wrong_behind_the_door = True
    with pytest.raises(CanaryMismatch):
        deploy(shelf, bundles[1])
    assert shelf.trail == (bundles[0].slot,)
    assert list(shelf.slots) == [bundles[0].slot]


def test_what_cannot_be_taken_back_is_said_beside_the_error(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.fail_at = len(shelf.calls) + 1
    shelf.failure = Killed()
    with pytest.raises(Killed) as caught:
        deploy(shelf, bundles[1])
    assert not hasattr(caught.value, "__notes__")  # a kill lets nobody say anything
    shelf.dead, shelf.failure = False, OSError("no route")
    shelf.wrong_behind_the_door = True
    shelf.retire = lambda slot: (_ for _ in ()).throw(OSError("no route"))  # type: ignore[method-assign]
    with pytest.raises(CanaryMismatch) as wrong:
        deploy(shelf, bundles[1])
    assert "no route" in wrong.value.__notes__[0]


def test_leftovers_of_killed_deployments_are_removed_and_named(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.provision(bundles[2])
    assert deploy(shelf, bundles[1]).removed == (bundles[2].slot, bundles[0].slot)


def test_rollback_goes_to_the_healthy_version_before_and_forgets_what_came_after(shelf, bundles):
    by_version = {bundle.version: bundle for bundle in bundles}
    for bundle in bundles[:3]:
        deploy(shelf, bundle)
    assert rollback(shelf, by_version.__getitem__).version == bundles[1].version
    assert shelf.trail == (bundles[0].slot, bundles[1].slot)
    deploy(shelf, bundles[2])
    assert rollback(shelf, by_version.__getitem__, bundles[0].version).previous is None
    for bundle in bundles[1:2]:
        deploy(shelf, bundle)
    deploy(shelf, bundles[2])
    bundles[1].model_version.file("model.onnx").write_bytes(b"damaged")
    assert rollback(shelf, by_version.__getitem__).version == bundles[0].version
    with pytest.raises(DeploymentError, match=f"no previous version.*Current is {bundles[0].version}"):
        rollback(shelf, by_version.__getitem__)
    with pytest.raises(DeploymentError, match=rf"no version '{bundles[3].version}' to go back to.*asks the gate"):
        rollback(shelf, by_version.__getitem__, bundles[3].version)


def test_a_rollback_of_which_nothing_comes_names_every_reason(shelf, bundles):
    for bundle in bundles[:2]:
        deploy(shelf, bundle)

    def gone(version: str) -> Bundle:
        raise DeploymentError("its files are gone", where="models", why=f"No folder {version}", do="fetch it")

    with pytest.raises(DeploymentError, match=rf"no previous version could be deployed.*{bundles[0].version}: .*gone"):
        rollback(shelf, gone)
    assert shelf.trail[-1] == bundles[1].slot


def test_the_trail_follows_what_answers():
    assert resolve_history(None, ("a",)) == ()
    assert resolve_history("b", ("a", "b")) == ("a", "b")
    assert resolve_history("a", ("a", "b")) == ("a",)  # b was never given the traffic, or was taken back
    assert resolve_history("c", ("a", "b")) == ("a", "b", "c")
    assert resolve_history("e", ("a", "b", "c", "d")) == ("b", "c", "d", "e")
    assert resolve_history("mb-2", ("ma-1", "mb-1", "mc-1")) == ("ma-1", "mb-2")
    assert version_of("m0123456789ab-ba9876543210-abc") == "0123456789ab"


def test_the_same_version_under_other_settings_is_another_slot_with_a_canary_of_its_own(shelf, bundles):
    deploy(shelf, bundles[0])
    deploy(shelf, bundles[1])
    shelf.runtime_config = {"machine": "larger"}
    again = deploy(shelf, bundles[1])
    assert shelf.trail == (bundles[0].slot, bundles[1].with_runtime_config(shelf.runtime_config).slot)
    assert (again.previous, again.removed) == (bundles[0].version, (bundles[1].slot,))
    assert len(bundles[1].with_runtime_config(shelf.runtime_config).slot) == 30
    assert rollback(shelf, {bundles[0].version: bundles[0]}.__getitem__).version == bundles[0].version
    assert shelf.trail == (bundles[0].with_runtime_config(shelf.runtime_config).slot,)


def test_what_cannot_be_removed_yet_keeps_no_version_out_but_is_said(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.provision(bundles[2])
    retire, shelf.retire = shelf.retire, stubborn(bundles[2].slot, shelf.retire)  # type: ignore[method-assign]
    with pytest.raises(DeploymentError, match=f"{bundles[1].version} answers, but what ran before it was not removed"):
        deploy(shelf, bundles[1])
    shelf.retire = retire  # type: ignore[method-assign]
    assert bundles[2].slot in deploy(shelf, bundles[1]).removed


def stubborn(slot: str, retire):
    def refuse(asked: str):
        if asked == slot:
            raise DeploymentError("it is being made", where="there", why="It cannot be removed yet", do="wait")
        return retire(asked)

    return refuse
