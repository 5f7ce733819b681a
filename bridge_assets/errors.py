"""All errors that a person can act on, with one base class.

Belongs here: the classes, and how their parts become a message. Does not belong here: errors that never leave their
module, and how an error is shown (`orchestration.failures` in Dagster, `cli.errors` in a shell).
"""

from __future__ import annotations

from pathlib import Path


class BridgeAssetsError(Exception):
    """A problem that a person can fix. The message says what, where, why, and what to do.

    Parameters
    ----------
    what : str
        What happened; the whole message if nothing else is given.
    where : Path or str, optional
        File, folder, address, or line.
    why, do : str, optional
        The cause, and how to fix it; both without a full stop at the end.
    stage : str, optional
        The stage of the platform that has to run again, such as `onnx_model`. It is not part of the message, because a
        caller without Dagster has no assets; `orchestration.failures` and `cli.errors` add it.
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
    """A source file or folder cannot be used at all. Bad rows never raise: they become rejected records."""


class MissingYearError(SourceError):
    """The source has no file of a survey year."""


class MixedOriginError(SourceError):
    """Records of the generated sample would be mixed with real ones."""


class LayoutError(SourceError):
    """The header row matches none of the published layouts."""


class SettingsError(BridgeAssetsError, ValueError):
    """A configuration file or environment variable has a wrong value."""


class StorageError(BridgeAssetsError, OSError):
    """An output could not be written. The previous output is untouched."""


class RunInProgressError(BridgeAssetsError, RuntimeError):
    """Another run writes to the same home folder. Nothing was changed."""


class ModelError(BridgeAssetsError, ValueError):
    """A model cannot be trained, read, exported, used or registered."""


class FeatureError(ModelError):
    """Rows that a model cannot accept: wrong columns or missing values."""


class FeatureRangeError(ModelError):
    """A value cannot be rounded to float16: it is too large, infinite or missing."""


class TrainingError(ModelError):
    """There is no training data, or a model cannot be trained on it."""


class ModelFileError(ModelError):
    """A file is not a saved forest, or contains something else. No object was created from it."""


class ForestFileError(ModelError):
    """A file is not a float16 forest that this version can read, or its bytes have changed."""


class ExportError(ModelError):
    """A model cannot be exported, or the exported model gives different predictions. Nothing was written."""


class PredictorError(ModelError):
    """A model file cannot be used for predictions."""


class ModelVersionError(ModelError):
    """A model version does not exist, or its files differ from its manifest."""


class RegistryError(ModelError):
    """A model version cannot be registered, or is not registered."""


class DeploymentError(BridgeAssetsError, RuntimeError):
    """A deployment failed, or the deployed model cannot be used."""


class CanaryMismatch(DeploymentError):
    """An endpoint answers the probe differently from the artifact."""


class OwnershipError(DeploymentError):
    """The name belongs to a resource without our owner tag, which is never touched."""


class NotConfiguredError(DeploymentError):
    """A target lacks a setting, an extra or credentials. Nothing was sent."""


class SheetError(BridgeAssetsError, ValueError):
    """A table cannot be exported to a sheet."""


class MissingExtraError(BridgeAssetsError, ImportError):
    """A library of an optional extra is not installed."""


class PortError(BridgeAssetsError, OSError):
    """A server cannot listen at an address: the port is in use, or the machine does not have the address."""


def error_summary(error: BaseException) -> str:
    """An error's class and message on one line, for the `why` of another error."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
