"""Plays everybody who wants to get through the gate, on every target; docs/gate.md has the table of the outcomes.

On the local target a version that gets through is served. The other targets are configured and not reachable: getting
through there means that the gate let the version pass and the first request failed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg
import pytest
from support.alerting.slack_receiver import slack_receiver
from support.deployment.bad_outcomes import and_it_is_acknowledged, scores_turn_out_badly
from support.deployment.gate_table import TARGETS, assert_documented, documented_rows
from support.deployment.unreachable_targets import configure_unreachable_targets
from support.small_platform import SmallPlatform, defs, error_messages

from bridge_assets.data.features.normalization import Normalization
from bridge_assets.deployment.gate.content import read_content
from bridge_assets.deployment.gate.decision import REQUIRED_CHECKS
from bridge_assets.deployment.gate.limits import limits_of
from bridge_assets.deployment.gate.signature import KEY_VARIABLE
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.orchestration.gate.judged import Judged
from bridge_assets.registry.model_version import ModelVersion, latest_version
from bridge_assets.registry.register import configured_registry, register_version
from bridge_assets.runtime.onnx_predictor import OnnxPredictor
from bridge_assets.runtime.probe import Probe, write_probe
from bridge_assets.settings import MlflowSettings, ModelSettings
from bridge_assets.storage import digest, write_json

REASON = "Agreed with the bridge office on Monday"


@dataclass(frozen=True)
class Situation:
    """What somebody did before the version was deployed.

    `prepare` does it, for one target. `config` is that of the endpoint. `outcome`: `served`; `closed`, the gate said
    no; `refused`, the version was not taken at all. `says`: part of the message.
    """

    name: str
    outcome: str
    prepare: Callable[[SmallPlatform, pytest.MonkeyPatch, str], object]
    says: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    #: Called between the gate's decision and the deployment.
    meanwhile: Callable[[SmallPlatform], object] | None = None


def candidate(platform: SmallPlatform) -> ModelVersion:
    return latest_version(platform.home / "models")


def nothing(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    pass


def report(platform: SmallPlatform, passed: bool) -> None:
    """What anyone who reaches the port of the Dagster UI can post: an evaluation of every required check."""
    content, settings = read_content(candidate(platform)), ModelSettings.load().gate
    time.sleep(0.01)  # newer than all that was recorded
    with dg.DagsterInstance.get() as instance:
        for each in REQUIRED_CHECKS:
            judged = Judged(content.stages[each.asset], limits_of(each.check, settings), candidate(platform).version)
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(dg.AssetKey(each.asset), each.check, passed, judged.metadata())
            )


def exchange_scale(platform: SmallPlatform) -> None:
    """The scale times 1.7, with a probe that agrees and a manifest that agrees with both: only the judged digests, in
    Dagster's storage, are out of reach.
    """
    version = candidate(platform)
    right, probe = Normalization.load(version.file("normalization.json")), Probe.load(version.file("probe.json"))
    wrong = replace(right, scale=tuple(value * 1.7 for value in right.scale))
    scaled = right.transform(probe.table()).select(right.features).to_numpy()
    wrong.save(version.file("normalization.json"))
    predictor = OnnxPredictor(version.file("model.onnx"))
    write_probe(predictor.predict, wrong, scaled, version.file("probe.json"))
    declare(version)


def declare(version: ModelVersion) -> None:
    """Write the digests of the files as they are into the manifest."""
    manifest = version.manifest
    files = {name: digest(version.file(name)) for name in manifest["files"]}
    write_json({**manifest, "files": files}, version.file("manifest.json"))


def change_scale(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    exchange_scale(platform)


def change_scale_and_post(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    exchange_scale(platform)
    report(platform, True)


def change_evaluation(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    version = candidate(platform)
    version.file("evaluation.json").write_text(version.file("evaluation.json").read_text() + "\n")
    declare(version)


def change_training_set(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    manifest = candidate(platform).manifest
    manifest["stages"]["training_set"] = "0" * 64
    write_json(manifest, candidate(platform).file("manifest.json"))


def copy_version(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    copy = ModelVersion(shutil.copytree(candidate(platform).folder, platform.home / "models" / "0123456789ab"))
    write_json({**copy.manifest, "version": copy.version}, copy.file("manifest.json"))


def outside(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    shutil.copytree(candidate(platform).folder, platform.home / "outside" / "0123456789ab", dirs_exist_ok=True)


def post_failures(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    report(platform, False)


def tighten_limits(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """The first run was judged with auc_gain -0.5; the configuration at deployment asks for more."""
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__GATE__AUC_GAIN", "0")


def set_key(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "k" * 32)


def roll_back_from(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """As the rollback job records it; the target itself is not needed for that."""

    @dg.op(out=dg.Out(dg.Nothing))
    def rolled_back(context):
        metadata = {"rollback": True, "left_version": candidate(platform).version, "model_version": "0123456789ab"}
        context.log_event(dg.AssetMaterialization(f"{target}_endpoint", metadata=metadata))

    @dg.job
    def rollback():
        rolled_back()

    with dg.DagsterInstance.get() as instance:
        assert rollback.execute_in_process(instance=instance).success


def crown_another(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """A copy of the version becomes the champion: as good, but not the one that it was compared with."""
    copy = ModelVersion(shutil.copytree(candidate(platform).folder, platform.home / "elsewhere" / "0123456789ab"))
    write_json({**copy.manifest, "version": copy.version}, copy.file("manifest.json"))
    register_version(copy, MlflowSettings(), platform.home, "bridge_fall", alias="champion")


def crown_another_and_rebuild(platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """Nothing can be compared any more: the training set in the lake is another one."""
    crown_another(platform, monkeypatch, target)
    path = platform.lake.table_path("training_set").with_suffix(".json")
    write_json({**json.loads(path.read_text()), "digest": "0" * 64}, path)


SITUATIONS = (
    Situation("every check passed, nothing changed since", "served", nothing),
    Situation("a check failed later", "closed", post_failures, "failed"),
    Situation(
        "the scale times 1.7, probe and manifest made to agree",
        "closed",
        change_scale,
        "bridge_model:beats_baselines outdated",
    ),
    Situation(
        "the same, and passes of every check posted to the web server",
        "closed",
        change_scale_and_post,
        "onnx_model:onnx_parity untrusted",
    ),
    Situation("another evaluation, manifest made to agree", "closed", change_evaluation, "is_calibrated outdated"),
    Situation("another training set in the manifest", "closed", change_training_set, "no_leakage outdated"),
    Situation(
        "a copy of the version under another name",
        "closed",
        copy_version,
        "outdated",
        {"model_version": "0123456789ab"},
    ),
    Situation(
        "a path instead of a name",
        "refused",
        outside,
        "there is no model version",
        {"model_version": "../outside/0123456789ab"},
    ),
    Situation("judged under looser limits than today's", "closed", tighten_limits, "beats_baselines loosened"),
    Situation("another version became the champion; it is not worse", "served", crown_another),
    Situation(
        "the same, and the two cannot be compared any more",
        "closed",
        crown_another_and_rebuild,
        "but now the champion is 0123456789ab",
    ),
    Situation("a key is set, the evaluations are not signed", "closed", set_key, "without a signature"),
    Situation("the endpoint was rolled back from it", "closed", roll_back_from, "was rolled back from this version"),
    Situation(
        "the same, with a reason",
        "served",
        roll_back_from,
        config={"override_reason": REASON},
    ),
    Situation("its scores turned out badly", "closed", scores_turn_out_badly, "realised_quality:as_expected fails"),
    Situation("the same, acknowledged with a reason", "served", and_it_is_acknowledged),
    Situation(
        "files exchanged between the decision and the deployment",
        "refused",
        tighten_limits,
        "the gate decided about",
        {"override_reason": REASON},
        exchange_scale,
    ),
    Situation("a reason of one letter", "closed", tighten_limits, "too short", {"override_reason": "x"}),
    Situation("a closed gate, with a reason", "served", tighten_limits, config={"override_reason": REASON}),
)


@contextmanager
def interrupted(situation: Situation, platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An override is told to Slack after the decision and before the deployment, which waits for the answer."""
    if situation.meanwhile is None:
        yield
        return
    meanwhile = situation.meanwhile
    with slack_receiver() as slack:
        slack.on_message = lambda: meanwhile(platform)
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        yield
        assert slack.messages


def outcome_of(situation: Situation, platform: SmallPlatform, monkeypatch: pytest.MonkeyPatch, target: str) -> str:
    endpoint = LocalEndpoint(platform.home / "endpoints" / "local")
    served_before = endpoint.load_model().predict(probe_of(endpoint).table()).to_list()
    situation.prepare(platform, monkeypatch, target)
    with interrupted(situation, platform, monkeypatch):
        result = platform.materialize(f"{target}_endpoint", checks=False, config=situation.config)
    message = error_messages(result)
    served_after = endpoint.load_model().predict(probe_of(endpoint).table()).to_list()
    assert served_after == served_before  # the same version, or none: nobody exchanged a probability
    if result.success:
        return "served"
    assert situation.says in message, message
    if "the gate is closed" in message:
        return "closed"
    if "there is no model version" in message or "changed while it was being deployed" in message:
        return "refused"
    assert target != "local", message
    assert "What to do:" in message, message
    return "served"


@contextmanager
def same_champion(platform: SmallPlatform) -> Iterator[None]:
    """The registry is not restored with the platform."""
    registry = configured_registry(MlflowSettings(), platform.home, "bridge_fall")
    champion = registry.aliases()["champion"]
    yield
    registry.set_alias("champion", champion)


def probe_of(endpoint: LocalEndpoint) -> Probe:
    return Probe.load(endpoint.root / "current" / "probe.json")


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_the_gate_does_what_it_should_on_every_target(platform, monkeypatch, situation, restored) -> None:
    configure_unreachable_targets(monkeypatch, platform.home)
    outcomes = {}
    for target in TARGETS:
        with restored(), same_champion(platform), monkeypatch.context() as environment:
            outcomes[target] = outcome_of(situation, platform, environment, target)
    assert outcomes == dict.fromkeys(TARGETS, situation.outcome)
    assert_documented(situation.name, situation.outcome, outcomes, [each.name for each in SITUATIONS])


def test_the_page_has_exactly_these_situations() -> None:
    assert list(documented_rows()) == [situation.name for situation in SITUATIONS]
    assert defs.get_repository_def().has_job("rollback_local")
