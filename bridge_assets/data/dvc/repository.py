"""Sets up the DVC repository described in `configs/dvc_config.yaml`, and keeps its configuration current.

No credentials are written: DVC finds them in the environment.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from bridge_assets.data.dvc.command import DvcError, require_success, run_dvc
from bridge_assets.settings import DvcSettings, project_folder
from bridge_assets.storage import write_text

#: Files that are still being written (`storage.atomic_write`, downloads), which are not part of a version.
_IGNORE_PATTERNS = (".*.tmp", ".*.part*")


def ensure_repository(settings: DvcSettings | None = None) -> Path:
    """Set up the DVC repository and its remote as configured, changing only what differs.

    If the folder is in a git repository, DVC works with git, otherwise without. The configured remote becomes the
    default remote of the repository. Usage reports and update checks are switched off in it.

    Returns
    -------
    Path
        Folder of the repository.

    Raises
    ------
    DvcError
        If DVC is switched off (no `remote`), an address contains credentials, or a DVC command fails.
    """
    settings = settings or DvcSettings.load()
    if not settings.enabled:
        raise DvcError(
            "DVC is switched off",
            where="configs/dvc_config.yaml",
            why="`remote` is empty",
            do="set it to a local folder or to s3://bucket/folder (or set BRIDGE_ASSETS_DVC__REMOTE)",
        )
    _refuse_credentials("remote", settings.remote)
    _refuse_credentials("endpoint_url", settings.endpoint_url)
    repository = settings.repository_folder
    repository.mkdir(parents=True, exist_ok=True)
    git = _git_root(repository)
    if not (repository / ".dvc").is_dir():
        init_options = ["--no-scm"] if git is None else [] if git == repository else ["--subdir"]
        require_success(run_dvc("init", "--quiet", *init_options, repository=repository), repository)
    listed = require_success(run_dvc("config", "--project", "--list", repository=repository), repository).stdout
    current_config = dict(line.split("=", 1) for line in listed.splitlines() if "=" in line)
    desired_config = _desired_config(settings, repository, git=git is not None)
    for key in [key for key, value in desired_config.items() if not value and key in current_config]:
        require_success(run_dvc("config", "--project", "--unset", key, repository=repository), repository)
    for key, value in desired_config.items():
        if value and not _config_equals(current_config.get(key), value, repository):
            require_success(run_dvc("config", "--project", key, value, repository=repository), repository)
    ignore = repository / ".dvcignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    if missing := [pattern for pattern in _IGNORE_PATTERNS if pattern not in lines]:
        write_text("\n".join([*lines, *missing]) + "\n", ignore)
    return repository


def _desired_config(settings: DvcSettings, repository: Path, *, git: bool) -> dict[str, str]:
    """The required entries of `.dvc/config`, in an order that DVC accepts; keys with an empty value must be unset."""
    remote = f"remote.{settings.remote_name}"
    s3 = settings.remote.startswith("s3://")
    wanted = {
        f"{remote}.endpointurl": settings.endpoint_url if s3 else "",
        f"{remote}.region": settings.region if s3 else "",
        f"{remote}.url": _address(settings.remote, repository),
        # Compare downloads with their digests; by default, DVC does not.
        f"{remote}.verify": "true",
        "core.remote": settings.remote_name,
        "core.analytics": "false",
        "core.check_update": "false",
        "cache.type": settings.cache_type,
    }
    if not git:
        wanted["core.no_scm"] = "true"
    # Unset first, then the address: DVC refuses S3 options on a local remote.
    address = wanted.pop(f"{remote}.url")
    return {f"{remote}.url": address, **wanted}


def _address(remote: str, repository: Path) -> str:
    """A remote for DVC: our relative paths start at the project folder, those of DVC at the repository."""
    if "://" in remote or Path(remote).is_absolute():
        return remote
    return os.path.relpath(project_folder() / remote, repository)


def _config_equals(current: str | None, desired: str, repository: Path) -> bool:
    if current is None:
        return False
    # DVC lists booleans as written, and a local folder as an absolute path.
    return current.lower() == desired.lower() or Path(current) == Path(os.path.abspath(repository / desired))  # noqa: PTH100


def _git_root(folder: Path) -> Path | None:
    return next((path for path in (folder, *folder.parents) if (path / ".git").exists()), None)


def _refuse_credentials(key: str, address: str) -> None:
    try:
        parts = urlsplit(address)
        secret = parts.password is not None or (parts.username is not None and parts.scheme in ("s3", "http", "https"))
    except ValueError:
        secret = False  # not a valid address: DVC reports that
    if secret:  # the address is not repeated: messages are logged
        raise DvcError(
            f"`{key}` contains credentials",
            where="configs/dvc_config.yaml",
            why="It would be written to .dvc/config, which is committed",
            do="remove them, and set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
