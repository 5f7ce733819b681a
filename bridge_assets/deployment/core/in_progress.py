"""Operations that a cloud provider reports as under way: no deployment starts until they end."""

from __future__ import annotations

from collections.abc import Sequence

from bridge_assets.errors import DeploymentError


def fail_if_in_progress(operations: Sequence[str], action: str, where: str) -> None:
    """Refuse to start while the provider reports an operation: a deployment from another machine, or one that was
    killed.

    Raises
    ------
    DeploymentError
        If an operation is under way.
    """
    if operations:
        raise DeploymentError(
            f"{action} was refused",
            where=where,
            why=f"Another deployment is under way: {', '.join(operations)}",
            do="wait for it to end, then run again",
        )
