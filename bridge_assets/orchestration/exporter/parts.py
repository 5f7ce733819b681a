"""The parts that an exporter of this platform reads."""

from __future__ import annotations

from functools import partial

import dagster as dg

from bridge_assets.metrics.exporter import Read
from bridge_assets.orchestration.exporter import assets, runs, storage
from bridge_assets.orchestration.exporter.opened import WatchedInstance, watched_home
from bridge_assets.settings import DataSettings

#: What Dagster calls the runs that materialize assets without a job.
_ASSET_JOB = "__ASSET_JOB"


def exporter_parts(definitions: dg.Definitions, data: DataSettings) -> dict[str, Read]:
    """Name -> function that reads it.

    Parameters
    ----------
    definitions : Definitions
        Whose jobs, assets and checks are watched.
    data : DataSettings
    """
    repository = definitions.get_repository_def()
    graph = repository.asset_graph
    jobs = sorted(job.name for job in repository.get_all_jobs() if job.name != _ASSET_JOB)
    groups = {key: graph.get(key.asset_key).group_name for key in sorted(graph.asset_check_keys)}
    home = watched_home(data)
    instance = WatchedInstance(home)
    return {
        "jobs": instance.reader(partial(runs.read_jobs, jobs=[*jobs, _ASSET_JOB])),
        "queue": instance.reader(runs.read_queue),
        "daemons": instance.reader(runs.read_daemons),
        "ticks": instance.reader(runs.read_ticks),
        "assets": instance.reader(partial(assets.read_assets, keys=sorted(graph.materializable_asset_keys))),
        "checks": instance.reader(partial(assets.read_checks, groups=groups)),
        "watched": instance.reader(assets.read_watched),
        "storage": partial(storage.read_storage, data.home_folder, home),
    }
