from __future__ import annotations

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from bridge_assets.errors import ModelFileError
from bridge_assets.models.dataset.matrix import feature_names
from bridge_assets.models.training.skops_file import load_model, save_model


class UntrustedType:
    def __init__(self) -> None:
        self.harmless = False


@pytest.mark.parametrize("kind", ["classifier", "regressor", "model"])
def test_a_loaded_forest_gives_the_same_predictions(kind, grid_rows, tmp_path, request):
    model = request.getfixturevalue(kind)
    loaded = load_model(save_model(model, tmp_path / "model.skops"))
    rows = grid_rows[:, : model.n_features_in_]
    reached = [[tree.tree_.apply(rows) for tree in each.estimators_] for each in (model, loaded)]
    assert (np.array(reached[0]) == np.array(reached[1])).all()
    assert loaded.get_params() == model.get_params()
    assert feature_names(loaded) == feature_names(model)
    if kind == "model":
        assert list(loaded.classes_) == [False, True]


def test_the_same_forest_gives_the_same_bytes(grid_rows, tmp_path):
    files = []
    for number in range(2):
        model = RandomForestClassifier(5, max_depth=3, random_state=0).fit(grid_rows, grid_rows[:, 0] > 0)
        files.append(save_model(model, tmp_path / f"{number}.skops").read_bytes())
    assert files[0] == files[1]


def test_skops_itself_can_read_the_file(classifier, grid_rows, tmp_path):
    path = save_model(classifier, tmp_path / "model.skops")
    assert skops.io.get_untrusted_types(file=path) == ["sklearn.tree._tree.Tree"]
    loaded = skops.io.load(path, trusted=["sklearn.tree._tree.Tree"])
    assert (loaded.predict_proba(grid_rows) == classifier.predict_proba(grid_rows)).all()


def test_a_type_that_is_not_part_of_a_forest_is_rejected(classifier, tmp_path):
    model = RandomForestClassifier(2).fit(np.eye(3), [0, 1, 1])
    model.extra_ = UntrustedType()
    path = tmp_path / "model.skops"
    skops.io.dump(model, path)
    with pytest.raises(
        ModelFileError, match=r"contains .*UntrustedType, which is not part of a random forest.*nothing was loaded"
    ):
        load_model(path)


def test_types_that_skops_trusts_by_default_are_rejected_too(tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(make_pipeline(FunctionTransformer(np.exp), RandomForestClassifier(2)), path)
    assert skops.io.get_untrusted_types(file=path) == []
    with pytest.raises(ModelFileError, match=r"contains numpy\.exp, sklearn\.pipeline\.Pipeline"):
        load_model(path)


def test_an_untrusted_type_is_not_saved_either(tmp_path):
    path = tmp_path / "model.skops"
    with pytest.raises(ModelFileError, match="FunctionTransformer"):
        save_model(FunctionTransformer(np.exp), path)
    assert not path.exists()


def test_another_object_of_trusted_types_is_rejected(tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump([1, 2, 3], path)
    with pytest.raises(ModelFileError, match="expected a random forest, found a list"):
        load_model(path)


def test_a_damaged_file_is_rejected(classifier, tmp_path):
    path = save_model(classifier, tmp_path / "model.skops")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFileError, match="train the model again"):
        load_model(path)
    changed = bytearray(content)
    changed[len(content) // 3] ^= 0xFF
    path.write_bytes(changed)
    with pytest.raises(ModelFileError, match="train the model again"):
        load_model(path)
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelFileError, match="not a complete skops file"):
        load_model(path)
