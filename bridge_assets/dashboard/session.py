"""What every page needs: settings, tables, and results that are kept until their files change."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from bridge_assets.dashboard.queries.tables import Tables
from bridge_assets.settings import DashboardSettings, DataSettings

#: Results that are kept, of all readers together; the least recently used one goes first.
_KEPT_RESULTS = 64


@cache
def dashboard_settings() -> DashboardSettings:
    """`dashboard_assets.yaml`, read when the dashboard starts."""
    return DashboardSettings.load()


@cache
def data_settings() -> DataSettings:
    """`data_config.yaml`, read when the dashboard starts."""
    return DataSettings.load()


def tables() -> Tables:
    """The lake of the platform's home."""
    reading = dashboard_settings().reading
    return Tables(data_settings().lake, memory_mb=reading.memory_mb, threads=reading.threads)


def cached(names: tuple[str, ...], query: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a query over the tables `names`; computed again only after one of their files has changed."""
    source = tables()
    return _result(source, source.stamp(*names), query, arguments)


@lru_cache(maxsize=_KEPT_RESULTS)
def _result(source: Tables, stamp: tuple[object, ...], query: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return query(source, *arguments)
