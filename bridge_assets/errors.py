"""Every error that a person can act on, under one root.

Belongs here: the classes, and how their parts become a message. Does not belong here: errors of one module that never
leave it, and how an error is shown (`orchestration.failures` for Dagster, `cli` for a shell).
"""

from __future__ import annotations

from pathlib import Path


class BridgeAssetsError(Exception):
    """Something that a person can put right. The message says what, where, why, and what to do.

    Parameters
    ----------
    what : str
        What happened; the whole message where nothing else is given.
    where : Path or str, optional
        File, folder, address, or line.
    why, do : str, optional
        The cause, and what puts it right; both without a full stop.
    stage : str, optional
        The stage of the platform that has to run again, such as `onnx_model`. The message does not name it: a caller
        without Dagster has no asset to materialise; `orchestration.failures` adds it in Dagster.
    """

    def __init__(
        self, what: str, *, where: Path | str = "", why: str = "", do: str = "", stage: str | None = None
    ) -> None:
        self.what, self.where, self.why, self.do, self.stage = what, str(where), why, do, stage
        message = f"{where}: {what}" if self.where else what
        if why or do:
            message = f"{message}." + (f" {why}." if why else "") + (f" What to do: {do}." if do else "")
        super().__init__(message)


class SourceError(BridgeAssetsError, ValueError):
    """A source file or folder cannot be used at all. Single bad rows never raise: they become rejected records."""


class LayoutError(SourceError):
    """The header row is none of the published layouts."""


class SettingsError(BridgeAssetsError, ValueError):
    """A configuration file or variable holds something that cannot be used."""


class StorageError(BridgeAssetsError, OSError):
    """An output could not be written. The message says where, why, and that the previous output is untouched."""


class ModelError(BridgeAssetsError, ValueError):
    """A model cannot be made, read, exported, used or registered."""


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


class ModelVersionError(ModelError):
    """A model version is not there, or its files are not those of its manifest."""


class RegistryError(ModelError):
    """A model version cannot be registered, or is not registered."""


class DeploymentError(BridgeAssetsError, RuntimeError):
    """A deployment did not happen, or what is deployed cannot be used."""


class CanaryMismatch(DeploymentError):
    """An endpoint does not answer the probe as the artifact does."""


class OwnershipError(DeploymentError):
    """The name is taken by something that does not carry our owner tag. It is never touched."""


class NotConfiguredError(DeploymentError):
    """A target lacks a setting, an extra or credentials. Nothing was sent anywhere."""


class SheetError(BridgeAssetsError, ValueError):
    """A table cannot be exported to a sheet."""


class MissingExtraError(BridgeAssetsError, ImportError):
    """A library that an optional extra brings is not installed."""


class AlertError(BridgeAssetsError, RuntimeError):
    """An alert could not be sent."""


def error_summary(error: BaseException) -> str:
    """An error's class and message, for the `why` of another."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
