"""The endpoint on Amazon SageMaker.

A slot is a model, an endpoint configuration and the archive in S3; they cost next to nothing and stay while the slot is
in the trail. For its canary a slot gets an endpoint of its own: SageMaker sends no request to a configuration that no
endpoint runs, and serverless and asynchronous endpoints take no second variant. The traffic moves by pointing the
endpoint at the slot's configuration, which SageMaker does blue/green.

On boto3, not on the sagemaker SDK: importing that takes 7 to 26 s and brings mlflow, for the same requests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge_assets.deployment.core.bundle import Bundle, bundle_of
from bridge_assets.deployment.core.tags import tags_of, trail_in
from bridge_assets.deployment.core.target import TRAIL_KEPT, Deployment, Standing, deploy, trail_of
from bridge_assets.deployment.sagemaker.client import Aws
from bridge_assets.deployment.sagemaker.endpoints import Endpoints, Patience
from bridge_assets.deployment.sagemaker.plan import Plan, check
from bridge_assets.deployment.sagemaker.resources import CONFIG, ENDPOINT, MADE_FROM, MODEL, Found, Kind, Records
from bridge_assets.errors import DeploymentError, NotOurs, in_one_line
from bridge_assets.runtime.file_lock import held
from bridge_assets.runtime.probe import Probe
from bridge_assets.settings import DataSettings
from bridge_assets.settings.environment import EnvironmentSettings, SageMakerSettings

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.registry.model_version import Candidate


@dataclass(frozen=True)
class SageMakerEndpoint:
    """A real-time, serverless or asynchronous endpoint. Made by `from_settings`.

    Attributes
    ----------
    settings : SageMakerSettings
        Complete: with region, role, image and bucket.
    owner : str
        Tag of everything that is made.
    locks : Path
        Folder of the lock file.
    aws : Aws
        The region.
    poll_seconds : float
        Between two looks at something that SageMaker is doing.
    lock_seconds : float
        To wait for another deployment from this machine.
    """

    settings: SageMakerSettings
    owner: str
    locks: Path
    aws: Aws
    poll_seconds: float = 10.0
    lock_seconds: float = 30.0
    kind: str = field(default="sagemaker", init=False)

    @classmethod
    def from_settings(cls, environment: EnvironmentSettings, locks: Path) -> Self:
        """The endpoint as `environment.yaml` describes it. Nothing is sent.

        Raises
        ------
        NotConfigured
            If a setting or the extra is missing, or two settings exclude each other; names them.
        """
        region = environment.sagemaker.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        settings = environment.sagemaker.model_copy(update={"region": region or ""})
        check(settings)
        return cls(settings, environment.owner, locks, Aws(settings.region))

    @property
    def address(self) -> str:
        runtime = self.aws.client("sagemaker-runtime").meta.endpoint_url
        invocations = "async-invocations" if self.settings.mode == "async" else "invocations"
        return f"{runtime}/endpoints/{self.settings.name}/{invocations}"

    @property
    def page(self) -> str:
        region = self.settings.region
        return f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}#/endpoints/{self.settings.name}"

    @property
    def terms(self) -> Mapping[str, Any]:
        # Alarms are no part of it: they watch the next update, whatever it is.
        return self.settings.model_dump(exclude={"enabled", "name", "wait_minutes", "rollback_alarms"})

    @property
    def cost(self) -> str:
        settings = self.settings
        if settings.mode == "serverless":
            memory = f"{settings.serverless_memory_mb} MB serverless"
            return f"{memory}, billed by the millisecond of answering, not while nobody asks"
        fleet = f"{settings.instances} x {settings.instance_type}"
        return f"{fleet}, billed by the second while they stand; twice that while a new version takes over"

    @contextmanager
    def alone(self, doing: str) -> Iterator[None]:
        with held(self.locks / f"{self.kind}-{self.settings.name}.lock", doing, self.address, self.lock_seconds):
            # Another machine's deployment, or an update that a killed one left: what stands is known once it is over.
            self._endpoints.settled(self.settings.name)
            yield

    def standing(self) -> Standing:
        trail = self._trail(self._main())
        placed = set(self._slots(ENDPOINT, known=()))
        placed.update(*(self._slots(kind, known=trail) for kind in (CONFIG, MODEL)))
        below = self._endpoints.objects.below(self._plan.folder)
        placed.update({slot for url in below if (slot := self._plan.slot_of_archive(url))} - {*trail})
        return Standing(trail, frozenset(placed))

    def place(self, bundle: Bundle) -> None:
        slot, name = bundle.slot, self._plan.name(bundle.slot)
        made_from = self._plan.made_from(slot)
        model, config = (self._records.find(kind, name) for kind in (MODEL, CONFIG))
        beside = self._endpoints.settled(name)
        self._endpoints.objects.put(self._plan.archive(slot), bundle.archive)
        if beside and (beside.status == "Failed" or beside.made_from != made_from):
            self._endpoints.remove(beside)
            beside = None
        self._records.ensure(model, MODEL, name, made_from, **self._plan.model(slot))
        self._records.ensure(config, CONFIG, name, made_from, **self._plan.config(slot))
        if beside is None:
            self._records.make(ENDPOINT, name, {MADE_FROM: made_from}, EndpointConfigName=name)
        self._endpoints.in_service(name, name)

    def ask(self, probe: Probe, slot: str | None) -> np.ndarray:
        return self._predict(self.settings.name if slot is None else self._plan.name(slot), probe.instances())

    def invoke(self, rows: Sequence[Mapping[str, float | None]]) -> np.ndarray:
        """Ask the endpoint.

        Parameters
        ----------
        rows : sequence of mapping
            Feature -> value in natural units; None, or no such key, where it is missing.

        Returns
        -------
        np.ndarray, shape (n,)
            Probability of a fall.

        Raises
        ------
        DeploymentError
            If it does not answer; says why.
        """
        return self._predict(self.settings.name, rows)

    def shift(self, trail: tuple[str, ...]) -> None:
        name, main = self._plan.name(trail[-1]), self._endpoints.idle(self._main())
        # The canary is over. Its endpoint goes before the traffic moves: no kill leaves it behind, and an account's
        # quota of instances must hold two fleets, not three.
        self._endpoints.remove(self._endpoints.settled(name))
        if main and main.status == "Failed":
            self._endpoints.remove(main)  # nothing else can be done with it
            main = None
        tags = tags_of(self.owner, trail)
        if main is None:
            self._records.make(ENDPOINT, self.settings.name, tags, EndpointConfigName=name)
        elif main.config != name:
            watched = trail[-1] not in self._trail(main)
            self._endpoints.update(self.settings.name, name, **self._plan.update(watched))
        main = self._endpoints.in_service(self.settings.name, name)
        # After the traffic: cut here, `trail_of` still says what stands. Slots that are no more get an empty value,
        # since adding and deleting tags would be two requests.
        if trail_in(main.tags) != trail:
            self._records.tag(main, {**tags_of(self.owner, ("",) * TRAIL_KEPT), **tags})

    def retire(self, slot: str) -> list[str]:
        name, main, removed = self._plan.name(slot), self._main(), []
        trail = self._trail(main)
        if main and name in main.configs:
            if main.busy or len(trail) > 1:
                return []  # it answers, or is about to
            # All that the endpoint ever answered with, and it is wrong.
            removed, trail = self._endpoints.remove(main), ()
        removed += self._endpoints.remove(self._records.ours(ENDPOINT, name))
        if slot in trail:
            return removed
        for kind in (CONFIG, MODEL):
            if found := self._records.ours(kind, name):
                self._records.remove(found)
                removed.append(f"{kind.word} {name}")
        archive = self._plan.archive(slot)
        return [*removed, archive] if self._endpoints.objects.remove(archive) else removed

    def delete(self) -> tuple[str, ...]:
        """Remove the endpoint and everything of ours that belongs to it; name what was removed. What SageMaker wrote
        stays: captured requests, and answers of an asynchronous endpoint that nobody fetched.

        Raises
        ------
        DeploymentError
            If something cannot be removed. Deleting again goes on from there.
        """
        with self.alone("deleting the endpoint"):
            removed = self._endpoints.remove(self._main())
            for slot in sorted(self.standing().placed):
                removed += self.retire(slot)
            questions = self._endpoints.objects.below(self._plan.questions)  # of killed askers
            return (*removed, *filter(self._endpoints.objects.remove, questions))

    @cached_property
    def _plan(self) -> Plan:
        return Plan(self.settings)

    @cached_property
    def _records(self) -> Records:
        return Records(self.aws, self.owner)

    @cached_property
    def _endpoints(self) -> Endpoints:
        return Endpoints(self._records, Patience(self.settings.wait_minutes * 60, self.poll_seconds))

    def _main(self) -> Found | None:
        main = self._records.find(ENDPOINT, self.settings.name)
        if main and self._plan.slot(main.config) is None:
            raise NotOurs(
                f"the endpoint {main.name} runs something else",
                where=self.address,
                why=f"Its configuration is {main.config}, which no deployment made",
                do="choose another name in configs/environment.yaml, or remove the endpoint. Nothing there was touched",
            )
        return main

    def _trail(self, main: Found | None) -> tuple[str, ...]:
        if main is None or not main.answers:
            return ()
        return trail_of(self._plan.slot(main.config), trail_in(main.tags))

    def _slots(self, kind: Kind, known: Sequence[str]) -> Iterator[str]:
        """Slots that have a resource of ours, beside those that are known."""
        for name, arn in self._records.names(kind, containing=f"{self.settings.name}-m"):
            slot = self._plan.slot(name)
            if slot and slot not in known and self._records.is_ours(arn):
                yield slot

    def _predict(self, endpoint: str, rows: Sequence[Mapping[str, float | None]]) -> np.ndarray:
        import numpy as np

        body = json.dumps({"instances": list(rows)}).encode()
        if self.settings.mode == "async":
            answer = self._endpoints.invoke_later(endpoint, body, self._plan.questions)
        else:
            answer = self._endpoints.invoke(endpoint, body)
        try:
            return np.asarray(json.loads(answer)["predictions"], dtype=np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise DeploymentError(
                "this is no answer of ours",
                where=f"endpoint {endpoint}",
                why=in_one_line(error),
                do="see that the image is the one of the Dockerfile",
            ) from error


def deploy_model_sagemaker(model: Candidate | Bundle | Path | str, name: str, instance_type: str) -> Deployment:
    """Deploy a model version to SageMaker. Region, role, image, bucket and mode stand in `configs/environment.yaml`.

    Whether the version may be deployed is not asked here: that is what the asset `sagemaker_endpoint` does.

    Parameters
    ----------
    model : Candidate, Bundle, or Path or str
        A model version, its bundle, or its folder.
    name : str
        Of the endpoint: 3 to 32 lower-case letters, digits and dashes.
    instance_type : str
        Such as `ml.m5.large`; a serverless endpoint has none.

    Raises
    ------
    NotConfigured
        If a setting or the extra is missing.
    DeploymentError
        If it did not happen: what answered before goes on answering.
    """
    environment = EnvironmentSettings.load()
    wanted = {**environment.sagemaker.model_dump(), "name": name, "instance_type": instance_type}
    environment = environment.model_copy(update={"sagemaker": SageMakerSettings.model_validate(wanted)})
    target = SageMakerEndpoint.from_settings(environment, DataSettings.load().home_folder / "endpoints")
    return deploy(target, model if isinstance(model, Bundle) else bundle_of(model))
