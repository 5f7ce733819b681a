"""What can be wrong with a model or its files, said so that a person can act on it."""

from __future__ import annotations


class ModelError(ValueError):
    """A model cannot be made, read, exported, asked or registered. The message says what, why, and what to do."""


class FeatureError(ModelError):
    """Rows that a model cannot take: the wrong columns, or values that are missing."""


class FeatureRangeError(ModelError):
    """A value has no neighbour on float16's grid: it is too large, infinite or missing."""


class TrainingError(ModelError):
    """There is nothing to train on, or it cannot be trained on."""


class ModelFileError(ModelError):
    """A file is no saved forest, or holds something that is not part of one. Nothing of it was built."""


class ForestFileError(ModelError):
    """A file is not a float16 forest that this version can read, or its bytes changed."""


class ExportError(ModelError):
    """A model cannot be exported, or its export does not answer as it does. Nothing was written."""


class PredictorError(ModelError):
    """A file cannot be used to predict falls."""


class RegistryError(ModelError):
    """A model version cannot be registered, or is not registered."""
