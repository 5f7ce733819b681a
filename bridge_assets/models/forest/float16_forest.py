"""A random forest in float16: packed arrays, prediction, and an open file format.

Nodes are stored breadth first, tree after tree, so children need no pointers: the children of a tree's k-th inner node
are at positions 2k+1 and 2k+2. One bit marks a leaf; inner nodes have a feature and a threshold, leaves their values.

Belongs here: the arrays, prediction and the file. Does not belong here: quantization (`quantize`), walking rows down
the trees (`kernels`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from bridge_assets.errors import ForestFileError
from bridge_assets.models.calibration.rating_odds import RatingOdds
from bridge_assets.models.dataset.matrix import feature_matrix
from bridge_assets.models.forest.nodes import UnpackedNodes
from bridge_assets.storage import atomic_write

if TYPE_CHECKING:
    import numpy as np

    from bridge_assets.models.forest.packing import PackedForest

FORMAT = "bridge_assets.float16_forest"
FORMAT_VERSION = 1

#: Version of files with odds ratios by rating: a reader that does not know them must not ignore them.
CALIBRATED_FORMAT_VERSION = 2


@dataclass(frozen=True, eq=False)
class Float16Forest:
    """A random forest whose thresholds and leaf values are float16.

    Attributes
    ----------
    leaf_bits : np.ndarray of uint8
        One bit per node, most significant first: 1 = leaf.
    tree_nodes : np.ndarray of int32, shape (n_trees,)
        Number of nodes in each tree.
    feature : np.ndarray of uint8 or uint16, shape (n_inner,)
    threshold : np.ndarray of float16, shape (n_inner,)
        A row goes left where `x <= threshold`, compared in float32.
    leaf : np.ndarray of float16, shape (n_leaves, n_outputs)
        Class probabilities, or the value of a regression. Each is rounded to nearest, so a row sums to 1 within 2**-12
        per class.
    features : tuple of str
        Names, in the order of the columns of X.
    classes : tuple
        Labels in the order of the leaf values; empty for a regression.
    task : {"classifier", "regressor"}
    metadata : mapping of str to str
        Kind and library version of the model it was quantized from.
    odds : RatingOdds, optional
        Corrects the mean over the trees by rating.
    """

    leaf_bits: np.ndarray
    tree_nodes: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    leaf: np.ndarray
    features: tuple[str, ...]
    classes: tuple[Any, ...]
    task: Literal["classifier", "regressor"]
    metadata: Mapping[str, str] = field(default_factory=dict)
    odds: RatingOdds | None = None

    @property
    def n_trees(self) -> int:
        return len(self.tree_nodes)

    @cached_property
    def nodes(self) -> UnpackedNodes:
        """The unpacked nodes; computed once."""
        import numpy as np

        count = int(self.tree_nodes.sum())
        roots = np.concatenate([[0], np.cumsum(self.tree_nodes)[:-1]]).astype(np.intp)
        is_leaf = np.unpackbits(self.leaf_bits, count=count).astype(bool)
        inner = np.flatnonzero(~is_leaf)
        inner_before = np.cumsum(~is_leaf) - ~is_leaf
        tree = np.repeat(np.arange(self.n_trees), self.tree_nodes)
        left = np.arange(count)
        left[inner] = roots[tree[inner]] + 1 + 2 * (inner_before[inner] - inner_before[roots][tree[inner]])
        feature = np.zeros(count, dtype=np.intp)
        feature[inner] = self.feature
        threshold = np.full(count, np.inf, dtype=np.float32)
        threshold[inner] = self.threshold
        depths = np.zeros(self.n_trees, dtype=np.intp)
        frontier, depth = roots, 0
        while (frontier := frontier[~is_leaf[frontier]]).size:
            depth += 1
            depths[tree[frontier]] = depth
            frontier = np.concatenate([left[frontier], left[frontier] + 1])
        return UnpackedNodes(roots, depths, is_leaf, left, feature, threshold, np.cumsum(is_leaf) - 1)

    @cached_property
    def packed(self) -> PackedForest:
        """The arrays that the compiled loops read; computed once."""
        from bridge_assets.models.forest.packing import pack_forest

        return pack_forest(self.nodes, self.threshold, self.leaf, len(self.features))

    def apply(self, X: Any, threads: int = 0) -> np.ndarray:
        """The leaf that each row reaches in each tree.

        Parameters
        ----------
        X : array of shape (n, n_features) or DataFrame
            Normalised features; see `matrix.feature_matrix`, also for the errors.
        threads : int
            Maximum number of threads; 0 = one for each processor. Few rows use one thread.

        Returns
        -------
        np.ndarray
            Shape (n, n_trees), int32: the index of the leaf among the nodes of its tree, breadth first; the root is 0.
        """
        from bridge_assets.models.forest import kernels

        return kernels.leaf_indices(self.packed, feature_matrix(X, self.features), threads)

    def predict_proba(self, X: Any, threads: int = 0) -> np.ndarray:
        """Class probabilities: the mean over the trees, corrected by `odds`; bit-identical for any number of threads.

        Parameters
        ----------
        X : array of shape (n, n_features) or DataFrame
            Normalised features; see `matrix.feature_matrix`, also for the errors.
        threads : int
            Maximum number of threads; 0 = one for each processor. Few rows use one thread.

        Returns
        -------
        np.ndarray
            Shape (n, n_classes), float32.

        Raises
        ------
        TypeError
            For a regression.
        """
        if self.task != "classifier":
            raise TypeError("this forest is a regressor: it has no class probabilities. What to do: call predict")
        matrix = feature_matrix(X, self.features)
        return self.corrected(self.mean_over_trees(matrix, threads), matrix)

    def predict(self, X: Any, threads: int = 0) -> np.ndarray:
        """The most likely class (the first one of a tie), or the value of a regression (float32); shape (n,)."""
        import numpy as np

        if self.task == "regressor":
            return self.mean_over_trees(feature_matrix(X, self.features), threads)[:, 0]
        return np.asarray(self.classes)[self.predict_proba(X, threads).argmax(axis=1)]

    def corrected(self, mean: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """The result of `mean_over_trees` for these rows, corrected by `odds`; unchanged without them."""
        if self.odds is None:
            return mean
        return self.odds.apply(mean, matrix[:, self.features.index(self.odds.feature)], self.classes)

    def mean_over_trees(self, matrix: np.ndarray, threads: int = 0) -> np.ndarray:
        """Leaf values averaged over the trees, without the correction by rating; shape (n, n_outputs), float32."""
        from bridge_assets.models.forest import kernels

        return kernels.mean_leaf_values(self.packed, matrix, threads)

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of header and arrays, in hex: forests with the same checksum give the same predictions."""
        return _checksum(self._header(), self._arrays())

    def save(self, path: Path) -> Path:
        """Write the forest as safetensors: readable by any language, memory-mappable, and the same bytes each time.

        Raises
        ------
        StorageError
            If it cannot be written; `path` is then unchanged.
        """
        from safetensors.numpy import save

        header = json.dumps({**self._header(), "checksum": self.checksum}, sort_keys=True, ensure_ascii=False)
        # A single key: safetensors writes several keys in an order that changes from process to process.
        content = save(self._arrays(), metadata={FORMAT: header})
        with atomic_write(path) as temp_path:
            temp_path.write_bytes(content)
        return path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        ForestFileError
            If the file is not a float16 forest, has another format version, or its bytes changed.
        OSError
            If it cannot be read.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="np") as file:
                header = (file.metadata() or {}).get(FORMAT)
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except SafetensorError as error:
            raise ForestFileError("not a complete safetensors file", where=path, why=str(error), **_REMEDY) from None
        if header is None:
            raise ForestFileError("a safetensors file without a float16 forest", where=path, **_REMEDY)
        try:
            values = json.loads(header)
            version, checksum = values["format_version"], values.pop("checksum")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ForestFileError("the header is damaged", where=path, why=repr(error), **_REMEDY) from None
        if version not in (FORMAT_VERSION, CALIBRATED_FORMAT_VERSION):
            raise ForestFileError(
                f"the file has format version {version}; this version reads {FORMAT_VERSION} and "
                f"{CALIBRATED_FORMAT_VERSION}",
                where=path,
                **_REMEDY,
            )
        if (found := _checksum(values, arrays)) != checksum:
            raise ForestFileError(
                "the file was changed after it was written",
                where=path,
                why=f"Its checksum is {found[:12]}, its header says {checksum[:12]}",
                **_REMEDY,
            )
        odds = None
        if version == CALIBRATED_FORMAT_VERSION:
            odds = RatingOdds(values["odds_feature"], arrays.pop("odds_cuts"), arrays.pop("odds_ratios"))
        return cls(
            **arrays,
            odds=odds,
            features=tuple(values["features"]),
            classes=tuple(values["classes"]),
            task=values["task"],
            metadata=values["metadata"],
        )

    def _header(self) -> dict[str, Any]:
        calibrated = {} if self.odds is None else {"odds_feature": self.odds.feature}
        return {
            "format_version": FORMAT_VERSION if self.odds is None else CALIBRATED_FORMAT_VERSION,
            **calibrated,
            "features": list(self.features),
            "classes": list(self.classes),
            "task": self.task,
            "metadata": dict(self.metadata),
        }

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {name: getattr(self, name) for name in ("leaf_bits", "tree_nodes", "feature", "threshold", "leaf")}
        return arrays | ({} if self.odds is None else {"odds_cuts": self.odds.cuts, "odds_ratios": self.odds.ratios})


_REMEDY: dict[str, str] = {"do": "quantize the model again", "stage": "quantized_model"}


def _checksum(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    sha = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        sha.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        sha.update(arrays[name].tobytes())
    return sha.hexdigest()
