"""Loops compiled by numba, kept on disk where that is possible.

numba keeps compiled code next to the module, or else in the user's cache folder. Where it can write to neither, as in a
container with a read-only file system and no home, its decorator raises, and the module could not even be imported.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

_logger = logging.getLogger(__name__)


def cached_njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit(cache=True)`; where nothing can be kept, each process compiles: some seconds.

    Parameters
    ----------
    **options
        Of `numba.njit`.
    """
    from numba import njit

    def compile_and_keep(function: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError as error:
            _logger.debug("%s is compiled in each process: %s", function.__qualname__, error)
            return njit(**options)(function)

    return compile_and_keep
