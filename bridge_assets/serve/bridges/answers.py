"""The answer to a request by structure key or raw NBI record.

{"predictions": [0.31], "model_version": "...", "features_digest": "...", "survey_year": 2025,
 "years_until_poor": {"model_version": "...", "horizon_years": 60, "interval": 0.8},
 "bridges": [{"structure_key": "25-B16123", "fall_probability": 0.31,
              "years_until_poor": {"expected": 9.1, "low": 2.0, "high": 21.4},
              "known": {...}, "assumed": [...], "flags": [...]}]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bridge_assets.serve.border.json_bytes import to_json
from bridge_assets.serve.bridges.contributions import Contributions
from bridge_assets.serve.bridges.records import RecordRows
from bridge_assets.serve.bridges.request import BridgeRequest, parse_body, parse_request
from bridge_assets.serve.bridges.rows import BridgeRows, rows_of_structures
from bridge_assets.serve.requests.request_rows import RequestError

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.runtime.package import Package
    from bridge_assets.runtime.served_model import ServedModel
    from bridge_assets.runtime.structure_tables import StructureTables

#: Rows of features in the order of the model -> predictions.
Predict = Callable[["np.ndarray"], "list[float]"]


@dataclass(frozen=True)
class BridgeAnswers:
    """Answers requests about bridges with one package.

    Attributes
    ----------
    package : Package
    model : ServedModel
    tables : StructureTables
    predict : callable
        As for rows of features (`LoadedModel.predict`).
    """

    package: Package
    model: ServedModel
    tables: StructureTables
    predict: Predict

    @classmethod
    def load(cls, package: Package, model: ServedModel, predict: Predict) -> BridgeAnswers | None:
        """Open the tables of a package; None if it has none.

        Raises
        ------
        DeploymentError
            If they are damaged.
        """
        from bridge_assets.runtime.structure_tables import StructureTables

        tables = StructureTables.open(package)
        return None if tables is None else cls(package, model, tables, predict)

    def respond(self, body: bytes | bytearray) -> tuple[bytes, list[float]]:
        """The answer to the body of a request, as JSON, and the predictions in it.

        Raises
        ------
        RequestError
            400 if it is not JSON; 413 for too many bridges; 422 for what a bridge cannot have; 501 if this installation
            cannot compute it.
        """
        answer = self.answer(parse_body(body))
        return to_json(answer), answer["predictions"]

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a parsed request; raises as `respond`."""
        parsed = parse_request(request)
        rows = self._rows(parsed)
        features = rows.features[:, self._columns]
        predictions = self.predict(features)
        years = self.tables.info["years_until_poor"]
        return {
            "predictions": predictions,
            "model_version": self.model.version,
            "features_digest": self.model.features_digest,
            "survey_year": self.tables.survey_year,
            "years_until_poor": years
            if not years["model_version"]
            else {name: years[name] for name in ("model_version", "horizon_years", "interval")},
            "bridges": self._bridges(rows, features, predictions, parsed.explain),
        }

    def _rows(self, request: BridgeRequest) -> BridgeRows:
        if request.keys:
            return rows_of_structures(self.tables, request.keys)
        self._require_same_definitions()
        return self._record_rows.rows(request.records)

    def _require_same_definitions(self) -> None:
        """Refuse raw records if this installation computes features by other definitions than those of the model."""
        if self._installed_digest != self.model.features_digest:
            raise RequestError(
                f"records: this installation computes features by the definitions {self._installed_digest}, model "
                f"{self.model.version} was trained with {self.model.features_digest}; send structure keys or rows of "
                "features, or train and deploy a version with the current definitions",
                501,
            )

    @cached_property
    def _installed_digest(self) -> str:
        from bridge_assets.data.features.build import features_digest

        return features_digest()

    @cached_property
    def _record_rows(self) -> RecordRows:
        return RecordRows(self.tables)

    @cached_property
    def _contributions(self) -> Contributions:
        return Contributions(self.package, self.model, self.tables)

    @cached_property
    def _columns(self) -> list[int]:
        """The columns of the tables that are the features of the model, in its order."""
        names = self.tables.info["features"]
        return [names.index(name) for name in self.model.normalization.features]

    @cached_property
    def _fillings(self) -> list[str]:
        """For each feature of the model, what is assumed where it is missing."""
        from bridge_assets.data.listed_features import listed_features
        from bridge_assets.reporting.feature_text import feature_name, feature_value

        normalization = self.model.normalization
        sources = {each.name: each.source for each in listed_features()}
        return [
            f"{feature_name(name, with_unit=True)} ({_items(sources.get(name, ''))}) is not known or does not "
            f"apply: {feature_value(name, fill)} is used, the median in training"
            for name, fill in zip(normalization.features, normalization.fill, strict=True)
        ]

    def _bridges(
        self, rows: BridgeRows, features: np.ndarray, predictions: list[float], is_explained: bool
    ) -> list[dict[str, Any]]:
        import numpy as np

        missing = np.isnan(features)
        bridges: list[dict[str, Any]] = [
            {
                "structure_key": key,
                self.model.prediction_column: prediction,
                "years_until_poor": _years(rows.years[number]) if rows.years else None,
                "known": rows.known[number],
                "assumed": [
                    *rows.assumed[number],
                    *(self._fillings[column] for column in np.flatnonzero(missing[number])),
                ],
                "flags": rows.flags[number],
            }
            for number, (key, prediction) in enumerate(zip(rows.keys, predictions, strict=True))
        ]
        if is_explained:
            self._add_contributions(bridges, features)
        return bridges

    def _add_contributions(self, bridges: list[dict[str, Any]], features: np.ndarray) -> None:
        import numpy as np

        from bridge_assets.reporting.feature_words import feature_words

        found = self._contributions.explain(features)
        names = self.model.normalization.features
        for number, bridge in enumerate(bridges):
            of_bridge = found.values[number]
            natural = [None if np.isnan(value) else float(value) for value in features[number]]
            bridge["base"] = found.base
            bridge["contributions"] = [
                {
                    "feature": names[column],
                    "value": natural[column],
                    "in_words": feature_words(names[column], natural[column]),
                    "contribution": float(of_bridge[column]),
                }
                for column in np.argsort(-np.abs(of_bridge), kind="stable").tolist()
            ]


def _years(years: tuple[float | None, ...]) -> dict[str, float | None]:
    """Null where beyond the horizon."""
    return dict(zip(("expected", "low", "high"), years, strict=True))


def _items(source: str) -> str:
    """`item 62`, `items 29, 109`; a source with a table after its items keeps it."""
    numbers = source.partition(";")[0]
    return f"{'items' if ',' in numbers or 'and' in numbers else 'item'} {source}"
