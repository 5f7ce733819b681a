"""The deployment procedure: after any failure or kill one version is served, and a new deployment completes."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from support.deployment.kept_bundles import opener

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.code_archive import code_archive
from bridge_assets.deployment.core.kept_bundles import kept_path, open_kept_bundle
from bridge_assets.deployment.core.target import TargetState, deploy, resolve_history, rollback, version_of
from bridge_assets.errors import CanaryMismatch, DeploymentError, StorageError
from bridge_assets.runtime.package import Package
from bridge_assets.runtime.probe import Probe
from bridge_assets.storage import digest


class Killed(BaseException):
    """A kill: no code of ours runs after it."""


@dataclass
class Shelf:
    """A target for tests: packages in a folder. Fails, or is killed, before call number `fail_at`."""

    root: object
    slots: dict[str, Package] = field(default_factory=dict)
    history: tuple[str, ...] = ()
    calls: list[str] = field(default_factory=list)
    fail_at: int = -1
    failure: BaseException = field(default_factory=lambda: OSError("the connection dropped"))
    dead: bool = False
    wrong_at_public_address: bool = False
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
        self._call("state")
        return TargetState(self.history, frozenset(self.slots))

    def provision(self, bundle: Bundle) -> None:
        self._call("provision")
        if bundle.slot not in self.slots:
            folder = self.root / f"{len(list(self.root.iterdir()))}"  # type: ignore[operator]
            self.slots[bundle.slot] = Package(bundle.unpack(folder))

    def predict(self, probe: Probe, slot: str | None) -> np.ndarray:
        self._call("predict")
        if slot is None and self.wrong_at_public_address:
            return np.zeros(len(probe.answers))
        return self.slots[slot or self.history[-1]].load_model().fall_probability(probe.table()).to_numpy()

    def switch_traffic(self, history: tuple[str, ...]) -> None:
        self._call("switch_traffic")
        self.history = history

    def repair(self, bundle: Bundle) -> None:
        self._call("repair")

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


def test_a_version_is_provisioned_tested_given_the_traffic_tested_again_and_the_old_one_retired(shelf, bundles):
    first = deploy(shelf, bundles[0])
    assert shelf.calls == ["state", "provision", "predict", "switch_traffic", "predict", "state"]
    assert (first.version, first.previous, first.removed) == (bundles[0].version, None, ())
    second = deploy(shelf, bundles[1])
    assert (second.previous, second.removed) == (bundles[0].version, (bundles[0].slot,))
    assert shelf.history == (bundles[0].slot, bundles[1].slot)
    assert list(shelf.slots) == [bundles[1].slot]


def test_deploying_the_current_slot_repairs_it_and_sends_the_canary(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.calls.clear()
    deploy(shelf, bundles[0])
    assert shelf.calls == ["state", "repair", "predict"]


def calls_of(shelf: Shelf, bundles: list[Bundle]) -> int:
    deploy(shelf, bundles[0])
    before = len(shelf.calls)
    deploy(shelf, bundles[1])
    return len(shelf.calls) - before


@pytest.mark.parametrize("failure", [OSError("the connection dropped"), Killed()], ids=["fails", "killed"])
def test_a_failure_or_a_kill_at_any_call_leaves_one_version_serving_and_a_new_deployment_completes(
    tmp_path, bundles, failure
):
    def fresh(name: str) -> Shelf:
        (tmp_path / name).mkdir()
        return Shelf(tmp_path / name, failure=failure)

    for call in range(calls_of(fresh("undisturbed"), bundles)):
        shelf = fresh(f"shelf{call}")
        deploy(shelf, bundles[0])
        shelf.fail_at = len(shelf.calls) + call
        with pytest.raises((type(failure), DeploymentError)):
            deploy(shelf, bundles[1])
        assert shelf.history[-1] in shelf.slots
        shelf.dead = False
        if not isinstance(failure, Killed) and shelf.history[-1] == bundles[0].slot:
            assert list(shelf.slots) == [bundles[0].slot]
        deploy(shelf, bundles[1])
        assert shelf.history == (bundles[0].slot, bundles[1].slot)
        assert list(shelf.slots) == [bundles[1].slot]


def test_a_wrong_model_behind_the_public_address_is_rolled_back(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.wrong_at_public_address = True
    with pytest.raises(CanaryMismatch):
        deploy(shelf, bundles[1])
    assert shelf.history == (bundles[0].slot,)
    assert list(shelf.slots) == [bundles[0].slot]


def test_a_failed_undo_is_added_to_the_error_as_a_note(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.fail_at = len(shelf.calls) + 1
    shelf.failure = Killed()
    with pytest.raises(Killed) as caught:
        deploy(shelf, bundles[1])
    assert not hasattr(caught.value, "__notes__")  # no code runs after a kill
    shelf.dead, shelf.failure = False, OSError("no route")
    shelf.wrong_at_public_address = True
    shelf.retire = lambda slot: (_ for _ in ()).throw(OSError("no route"))  # type: ignore[method-assign]
    with pytest.raises(CanaryMismatch) as wrong:
        deploy(shelf, bundles[1])
    assert "no route" in wrong.value.__notes__[0]


def test_leftovers_of_killed_deployments_are_removed_and_listed(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.provision(bundles[2])
    assert deploy(shelf, bundles[1]).removed == (bundles[2].slot, bundles[0].slot)


def test_rollback_returns_to_the_previous_healthy_version_and_drops_later_ones(shelf, bundles):
    open_kept = opener(bundles)
    for bundle in bundles[:3]:
        deploy(shelf, bundle)
    assert rollback(shelf, open_kept).version == bundles[1].version
    assert shelf.history == (bundles[0].slot, bundles[1].slot)
    deploy(shelf, bundles[2])
    assert rollback(shelf, open_kept, bundles[0].version).previous is None
    for bundle in bundles[1:2]:
        deploy(shelf, bundle)
    deploy(shelf, bundles[2])
    kept_path(bundles[1].model_version, bundles[1].slot).write_bytes(b"damaged")
    assert rollback(shelf, open_kept).version == bundles[0].version
    with pytest.raises(DeploymentError, match=f"no previous version.*The current version is {bundles[0].version}"):
        rollback(shelf, open_kept)
    with pytest.raises(DeploymentError, match=rf"cannot roll back to version '{bundles[3].version}'.*checks the gate"):
        rollback(shelf, open_kept, bundles[3].version)


def test_a_failed_rollback_lists_every_reason(shelf, bundles):
    for bundle in bundles[:2]:
        deploy(shelf, bundle)

    def gone(slot: str) -> Bundle:
        raise DeploymentError("its files are gone", where="models", why=f"No folder {slot}", do="fetch it")

    with pytest.raises(DeploymentError, match=rf"no previous version could be deployed.*{bundles[0].version}: .*gone"):
        rollback(shelf, gone)
    assert shelf.history[-1] == bundles[1].slot


def test_the_history_follows_the_slot_with_the_traffic():
    assert resolve_history(None, ("a",)) == ()
    assert resolve_history("b", ("a", "b")) == ("a", "b")
    assert resolve_history("a", ("a", "b")) == ("a",)  # b never received the traffic, or was rolled back
    assert resolve_history("c", ("a", "b")) == ("a", "b", "c")
    assert resolve_history("e", ("a", "b", "c", "d")) == ("b", "c", "d", "e")
    assert resolve_history("mb-2", ("ma-1", "mb-1", "mc-1")) == ("ma-1", "mb-2")
    assert version_of("m0123456789ab-ba9876543210-abc") == "0123456789ab"


def test_the_same_version_under_other_settings_is_another_slot_with_its_own_canary(shelf, bundles):
    deploy(shelf, bundles[0])
    deploy(shelf, bundles[1])
    shelf.runtime_config = {"machine": "larger"}
    again = deploy(shelf, bundles[1])
    assert shelf.history == (bundles[0].slot, bundles[1].with_runtime_config(shelf.runtime_config).slot)
    assert (again.previous, again.removed) == (bundles[0].version, (bundles[1].slot,))
    assert len(bundles[1].with_runtime_config(shelf.runtime_config).slot) == 30
    assert rollback(shelf, opener(bundles)).version == bundles[0].version
    assert shelf.history == (bundles[0].with_runtime_config(shelf.runtime_config).slot,)


def test_a_slot_that_cannot_be_removed_yet_does_not_prevent_a_deployment_but_is_reported(shelf, bundles):
    deploy(shelf, bundles[0])
    shelf.provision(bundles[2])
    retire, shelf.retire = shelf.retire, stubborn(bundles[2].slot, shelf.retire)  # type: ignore[method-assign]
    with pytest.raises(
        DeploymentError, match=f"{bundles[1].version} is being served, but the previous slot was not removed"
    ):
        deploy(shelf, bundles[1])
    shelf.retire = retire  # type: ignore[method-assign]
    assert bundles[2].slot in deploy(shelf, bundles[1]).removed


def stubborn(slot: str, retire):
    def refuse(requested: str):
        if requested == slot:
            raise DeploymentError("it is being made", where="there", why="It cannot be removed yet", do="wait")
        return retire(requested)

    return refuse


# Kept bundles


@pytest.fixture
def rolled_on(shelf, bundles, request) -> list[Bundle]:
    """Two versions deployed, the second with the code of a newer release."""
    deploy(shelf, bundles[0])
    request.getfixturevalue("code_of_a_newer_release")
    newer = [bundle_of(bundle.model_version) for bundle in bundles[:2]]
    deploy(shelf, newer[1])
    return newer


def test_a_rollback_brings_back_the_code_of_that_deployment(shelf, bundles, rolled_on):
    first = bundles[0]
    assert rolled_on[0].slot != first.slot
    assert rollback(shelf, opener(bundles)).version == first.version
    assert shelf.history == (first.slot,)
    assert (shelf.slots[first.slot].folder / "code.zip").read_bytes() == first.contents["code.zip"] == code_archive()
    assert kept_path(first.model_version, first.slot).read_bytes() == first.archive


def test_a_rollback_to_a_version_with_several_slots_uses_the_latest_of_them(shelf, bundles, rolled_on):
    deploy(shelf, rolled_on[0])
    deploy(shelf, rolled_on[1])
    rollback(shelf, opener(bundles), bundles[0].version)
    assert shelf.history[-1] == rolled_on[0].slot
    shelf.history = (rolled_on[0].slot, bundles[0].slot, rolled_on[1].slot)
    rollback(shelf, opener(bundles), bundles[0].version)
    assert bundles[0].slot in shelf.slots


def test_the_bundle_of_a_slot_is_written_once(shelf, bundles):
    deploy(shelf, bundles[0])
    path = kept_path(bundles[0].model_version, bundles[0].slot)
    written = path.stat()
    deploy(shelf, bundles[1])
    shelf.runtime_config = {"machine": "larger"}
    deploy(shelf, bundle_of(bundles[0].model_version))
    assert [each.name for each in sorted(path.parent.iterdir())] == [path.name, f"{path.name}.sha256"]
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert (path.parent / f"{path.name}.sha256").read_text() == f"{digest(path)}  {path.name}\n"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def replaced_by_another(path: Path) -> None:
    """Complete and with its digest, but with the content of another bundle."""
    other = next(each for each in path.parents[2].glob("*/bundles/*.tar.gz") if each != path)
    path.write_bytes(other.read_bytes())
    path.with_name(f"{path.name}.sha256").write_text(digest(path))


def with_another_model(path: Path) -> None:
    """An archive that differs from its own manifest."""
    buffer = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=buffer, mode="w:gz") as new:
        for member in old:
            content = b"another" if member.name == "model.onnx" else old.extractfile(member).read()  # type: ignore[union-attr]
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
    path.write_bytes(buffer.getvalue())
    path.with_name(f"{path.name}.sha256").write_text(digest(path))


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (Path.unlink, "is missing"),
        (lambda path: path.with_name(f"{path.name}.sha256").unlink(), "is missing"),
        (cut, r"is damaged\. .*its SHA-256 is"),
        (replaced_by_another, r"is damaged\. .*its content belongs to slot"),
        (with_another_model, r"is damaged\. .*files differ from its manifest: model\.onnx"),
    ],
    ids=["gone", "digest gone", "cut", "another", "changed"],
)
def test_a_kept_bundle_that_cannot_be_used_is_an_error_and_changes_nothing(shelf, bundles, rolled_on, damage, why):
    path = kept_path(bundles[0].model_version, bundles[0].slot)
    damage(path)
    history, slots = shelf.history, dict(shelf.slots)
    expected = rf"{path}: the kept bundle of slot {bundles[0].slot} {why}.*What to do: copy it.*or deploy model version"
    for version in (None, bundles[0].version):
        with pytest.raises(DeploymentError, match=expected):
            rollback(shelf, opener(bundles), version)
    assert (shelf.history, shelf.slots) == (history, slots)


def test_deploying_again_repairs_a_kept_bundle(shelf, bundles):
    deploy(shelf, bundles[0])
    path = kept_path(bundles[0].model_version, bundles[0].slot)
    whole = path.read_bytes()
    cut(path)
    deploy(shelf, bundle_of(bundles[0].model_version))
    assert path.read_bytes() == whole


def test_if_the_bundle_cannot_be_kept_nothing_is_deployed(shelf, bundles):
    kept = bundles[0].model_version.folder / "bundles"
    shutil.rmtree(kept, ignore_errors=True)  # the version may have been deployed by another test
    kept.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="was not written"):
        deploy(shelf, bundles[0])
    assert (shelf.history, shelf.slots) == ((), {})


def test_a_name_that_is_not_a_slot_opens_nothing(bundles):
    with pytest.raises(DeploymentError, match="is not the name of a slot"):
        open_kept_bundle(bundles[0].model_version, "m../../x-y")
