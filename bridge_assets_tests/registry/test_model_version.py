"""Looking up a model version on this machine."""

from __future__ import annotations

import pytest
from support.model_versions import make_version

from bridge_assets.errors import ModelVersionError
from bridge_assets.registry.model_version import get_version


def test_a_version_is_found_by_its_name(tmp_path):
    version = make_version(tmp_path / "models", 1)
    assert get_version(tmp_path / "models", version.version).folder == version.folder


@pytest.mark.parametrize("form", ["../outside/{}", "../models/{}", "./{}", "{}/", "{}/../{}", ".", ""])
def test_a_name_is_never_a_path(tmp_path, form):
    models = tmp_path / "models"
    listed = make_version(models, 1)
    outside = make_version(tmp_path / "outside", 1)
    assert outside.version == listed.version
    with pytest.raises(ModelVersionError, match=rf"there is no model version .* Available: {listed.version}"):
        get_version(models, form.format(listed.version, listed.version))


def test_an_absolute_path_is_not_a_name(tmp_path):
    outside = make_version(tmp_path / "outside", 1)
    with pytest.raises(ModelVersionError, match="Available: none"):
        get_version(tmp_path / "models", str(outside.folder))
