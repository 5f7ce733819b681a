"""What MLflow loads for a registered version: scales rows in natural units and predicts with the ONNX file.

A copy of this file is stored with every version, in its folder `code` and under a name with its digest, and MLflow
imports that copy. It imports nothing of bridge_assets: a version gives the same predictions wherever MLflow, pandas and
ONNX Runtime are installed, whether or not bridge_assets is, and two versions with different code can be loaded by one
process.

The scaling repeats `data.features.normalization.Normalization.transform` without polars. Loading predicts the rows of
probe.json, so that a version whose scaling differs in any way is refused.
"""

from __future__ import annotations

import decimal
import json
import numbers
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

#: As `runtime.probe.CANARY_TOLERANCE`: other processors sum float32 in another order.
_TOLERANCE = 1e-6

#: As `runtime.onnx_predictor`: ONNX Runtime never releases its buffers, which grow with the rows of one call.
_BATCH_ROWS = 1000


class NaturalUnitsModel:
    """A version's ONNX file with its scaling.

    Parameters
    ----------
    folder : Path
        With model.onnx, normalization.json and probe.json.

    Raises
    ------
    MlflowException
        If the files belong to different versions, or the predictions for the probe are not those of the export.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
        metadata = self._session.get_modelmeta().custom_metadata_map
        outputs = {output.name for output in self._session.get_outputs()}
        self.column, self._output = (
            ("fall_probability", "probabilities") if "probabilities" in outputs else ("expected_change", "prediction")
        )
        self._classes = json.loads(metadata["classes"])
        normalization = json.loads((folder / "normalization.json").read_text(encoding="utf-8"))
        self.features: list[str] = normalization["features"]
        self._fill, self._center, self._scale = (normalization[key] for key in ("fill", "center", "scale"))
        probe = json.loads((folder / "probe.json").read_text(encoding="utf-8"))
        if not self.features == json.loads(metadata["features"]) == probe["features"]:
            raise _mlflow_error(
                "model.onnx, normalization.json and probe.json belong to different versions", "BAD_REQUEST"
            )
        self._check_probe(probe)

    def predict(self, model_input: pd.DataFrame, params: Any = None) -> pd.Series:
        """Predict from features in natural units.

        Parameters
        ----------
        model_input : pd.DataFrame
            One row per bridge and one column per feature, of numbers or Booleans; a missing value is None, NaN or NA.
            Other columns are ignored.
        params : None
            Part of MLflow's interface; there are none.

        Returns
        -------
        pd.Series
            Float32, with the index of the input, named `fall_probability`, or `expected_change` (in points). Not a
            table: MLflow's evaluators put the predictions beside the targets.

        Raises
        ------
        MlflowException
            If a feature is missing or a value is not a finite number; the message has the row and the feature.
        """
        import pandas as pd

        if missing := [name for name in self.features if name not in model_input.columns]:
            raise _mlflow_error(f"the rows lack the features {', '.join(missing)}")
        return pd.Series(self._predict_scaled(self._scaled(model_input)), index=model_input.index, name=self.column)

    def _scaled(self, rows: pd.DataFrame) -> np.ndarray:
        """Shape (n, n_features), float32 on the float16 grid."""
        import numpy as np

        scaled = np.empty((len(rows), len(self.features)), dtype=np.float32)
        scales = zip(self.features, self._fill, self._center, self._scale, strict=True)
        with np.errstate(over="ignore"):  # refused below, by row and feature
            for place, (name, fill, center, scale) in enumerate(scales):
                values = _float32_values(rows[name], name)
                values = np.where(np.isnan(values), np.float32(fill), values)
                values = (values - np.float32(center)) / np.float32(scale)
                scaled[:, place] = values.astype(np.float16)
        if len(infinite := np.argwhere(np.isinf(scaled))):
            row, place = (int(index) for index in infinite[0])
            raise _value_error(row, self.features[place], "a number that is too large")
        return scaled

    def _predict_scaled(self, scaled: np.ndarray) -> np.ndarray:
        import numpy as np

        name = self._session.get_inputs()[0].name
        blocks = [
            np.asarray(self._session.run([self._output], {name: scaled[start : start + _BATCH_ROWS]})[0])
            for start in range(0, len(scaled), _BATCH_ROWS)
        ]
        if not blocks:
            return np.empty(0, dtype=np.float32)
        outputs = np.concatenate(blocks)
        if self._output == "prediction":
            return outputs[:, 0]
        falls = [place for place, label in enumerate(self._classes) if label == 1]
        return outputs[:, falls[0]] if falls else np.zeros(len(outputs), dtype=outputs.dtype)

    def _check_probe(self, probe: dict[str, Any]) -> None:
        import numpy as np
        import pandas as pd

        found = self.predict(pd.DataFrame(probe["rows"], columns=self.features, dtype=np.float32))
        expected = np.asarray(probe["answers"])
        wrong = ~(np.abs(found.to_numpy(dtype=np.float64) - expected) <= _TOLERANCE)
        if wrong.any():
            raise _mlflow_error(
                f"{int(wrong.sum())} of {len(expected)} predictions for probe.json differ from those at the export by "
                f"more than {_TOLERANCE:g}: a file of this version was changed, or ONNX Runtime differs here",
                "BAD_REQUEST",
            )


def _load_pyfunc(folder: str) -> NaturalUnitsModel:
    """Load a version; MLflow calls this with the folder of the version's files."""
    return NaturalUnitsModel(Path(folder))


def _float32_values(column: pd.Series, name: str) -> np.ndarray:
    """A column's values, shape (n,), float32; a missing value is NaN."""
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        with np.errstate(over="ignore"):
            values = column.to_numpy(dtype=np.float32, na_value=np.nan)
    else:
        values = np.array([_number(value, row, name) for row, value in enumerate(column)], dtype=np.float32)
    if len(infinite := np.flatnonzero(np.isinf(values))):
        raise _value_error(int(infinite[0]), name, "a number that is too large")
    return values


def _number(value: Any, row: int, name: str) -> float:
    import pandas as pd

    if value is None or value is pd.NA or value is pd.NaT:
        return float("nan")
    if isinstance(value, numbers.Real | decimal.Decimal) or type(value).__name__ == "bool":
        return float(value)
    raise _value_error(row, name, f"{type(value).__name__} {value!r:.40}")


def _value_error(row: int, name: str, found: str) -> Exception:
    return _mlflow_error(f"row {row}: feature {name}: expected a number, or null where it is missing, found {found}")


def _mlflow_error(message: str, code: str = "INVALID_PARAMETER_VALUE") -> Exception:
    """MLflow's scoring server answers these with status 400 and the message."""
    from mlflow.exceptions import MlflowException
    from mlflow.protos import databricks_pb2

    return MlflowException(message, error_code=databricks_pb2.ErrorCode.Value(code))
