"""The model that the local endpoint serves now, and how often its probabilities came true."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge_assets.errors import BridgeAssetsError, DeploymentError
from bridge_assets.serve.endpoint_follower import EndpointFollower
from bridge_assets.serve.requests.request_rows import RequestError

if TYPE_CHECKING:
    from bridge_assets.serve.loaded_model import LoadedModel


class NoAnswer(Exception):
    """A request that cannot be answered; the message says why, and what to do."""


@dataclass(frozen=True)
class ComesTrue:
    """What became of held-out inspections with about the same probability.

    Attributes
    ----------
    expected, observed : float
        Mean probability, and share that fell.
    inspections, falls : int
    first_year, last_year : int
        The survey years that were held out.
    """

    expected: float
    observed: float
    inspections: int
    falls: int
    first_year: int
    last_year: int


class ServedBridges:
    """Answers about bridges by the current package of the local endpoint, which is followed from request to request."""

    def __init__(self, endpoint: Path, models: Path) -> None:
        self._endpoint, self._models = endpoint, models
        self._follower: EndpointFollower | None = None
        self._lock = threading.Lock()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request (`serve.bridges`). Raises NoAnswer."""
        model = self.current()
        if model.bridges is None:
            raise NoAnswer(
                f"This version has no tables of structures. {model.no_bridges}. Run the asset local_endpoint again: it "
                "packs them."
            )
        try:
            body, _ = model.bridges.respond(bytearray(json.dumps(request, default=str).encode()))
        except RequestError as error:
            raise NoAnswer(str(error)) from error
        return json.loads(body)

    def current(self) -> LoadedModel:
        """The version that is served now; raises NoAnswer if there is none."""
        with self._lock:
            try:
                if self._follower is None:
                    self._follower = EndpointFollower(self._endpoint)
                else:
                    self._refresh(self._follower)
            except DeploymentError as error:
                asset = f" Run the asset {error.stage}." if error.stage else ""
                raise NoAnswer(f"{error}.{asset}") from error
            return self._follower.current

    def comes_true(self, version: str, probability: float) -> ComesTrue | None:
        """What became of held-out inspections with about this probability; None if it was not measured here."""
        try:
            found = json.loads((self._models / version / "evaluation.json").read_text(encoding="utf-8"))
            bins = found["calibration"]["bins"]
            nearest = min(bins, key=lambda each: abs(each["expected"] - probability))
            counts = (nearest["expected"], nearest["observed"], nearest["inspections"], nearest["falls"])
            return ComesTrue(*counts, found["first_year"], found["last_year"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _refresh(self, follower: EndpointFollower) -> None:
        try:
            follower.refresh()
        except BridgeAssetsError:  # the version before keeps answering, as in the server
            return
