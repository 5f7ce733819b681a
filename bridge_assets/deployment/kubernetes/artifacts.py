"""Storage for bundles that pods can read: a bucket, a web folder that accepts PUT, or a path mounted in the pods."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge_assets.data.sources.fsspec_files import EXTRAS
from bridge_assets.deployment.core.bundle import Bundle
from bridge_assets.errors import DeploymentError, NotConfiguredError, error_summary
from bridge_assets.extras import install_command


@dataclass(frozen=True)
class Artifacts:
    """Archives in one folder.

    Attributes
    ----------
    folder : str
        s3://, gs://, abfs:// ..., http(s)://, or an absolute path.
    """

    folder: str

    def archive_url(self, slot: str) -> str:
        return f"{self.folder.rstrip('/')}/{slot}.tar.gz"

    @property
    def is_path(self) -> bool:
        return "://" not in self.folder

    def upload(self, slot: str, bundle: Bundle) -> None:
        """Write the archive of a slot unless an intact copy exists, and read it back.

        Raises
        ------
        DeploymentError
            If it cannot be written, or is read back with other bytes.
        """
        address = self.archive_url(slot)
        if self._digest(address) == bundle.digest:
            return
        with _translate_errors(address):
            if self.is_path:
                bundle.write(Path(address))
            else:
                files, path = _file_system(address)
                files.pipe_file(path, bundle.archive)
        self.check(slot, bundle.digest)

    def check(self, slot: str, sha256: str) -> None:
        """Compare an archive with its digest.

        Raises
        ------
        DeploymentError
            If it is missing or has other bytes.
        """
        address = self.archive_url(slot)
        if (found := self._digest(address)) != sha256:
            raise DeploymentError(
                "the archive is missing or was changed after it was uploaded",
                where=address,
                why=f"Its SHA-256 is {found[:12]} instead of {sha256[:12]}" if found else "There is no such file",
                do="deploy the version again, which uploads the archive from its model folder",
            )

    def remove(self, slot: str) -> bool:
        """Remove an archive and return whether it existed. A web folder keeps its files."""
        address = self.archive_url(slot)
        with _translate_errors(address):
            files, path = _file_system(address)
            if self.folder.startswith(("http://", "https://")) or not files.exists(path):
                return False
            files.rm_file(path)
            return True

    def _digest(self, address: str) -> str:
        """SHA-256 of the file; empty if there is none."""
        with _translate_errors(address):
            files, path = _file_system(address)
            try:
                return hashlib.sha256(files.cat_file(path)).hexdigest()
            except FileNotFoundError:
                return ""


def _file_system(address: str) -> tuple[Any, str]:
    import fsspec

    return fsspec.core.url_to_fs(address, use_listings_cache=False)


@contextmanager
def _translate_errors(address: str) -> Iterator[None]:
    try:
        yield
    except DeploymentError:
        raise
    except ImportError as error:
        extra = EXTRAS.get(address.partition("://")[0], ("", ""))[1]
        do = f"run `{install_command(extra)}`" if extra else "install the library that fsspec names"
        raise NotConfiguredError("a library is missing", where=address, why=error_summary(error), do=do) from error
    except Exception as error:  # each storage raises errors of its own
        raise DeploymentError(
            "the storage for archives cannot be used",
            where=address,
            why=error_summary(error),
            do="correct kubernetes.artifacts in environment.yaml, or the credentials for it, then run again",
        ) from error
