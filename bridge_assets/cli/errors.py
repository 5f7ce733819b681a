"""Prints errors in a shell: the message and what to run, never a stack trace."""

from __future__ import annotations

import click

from bridge_assets.errors import BridgeAssetsError


class UserErrorGroup(click.Group):
    """A command group that prints the platform's own errors and exits with 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BridgeAssetsError as error:
            raise click.ClickException(message_with_remedy(error)) from error


def message_with_remedy(error: BridgeAssetsError) -> str:
    """The error message, followed by the command that builds the missing stage if the error names one."""
    if error.stage is None:
        return str(error)
    return f"{error} `bridge-assets run` builds {error.stage} and everything before it."
