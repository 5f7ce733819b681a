"""The roof: assets, checks, jobs, schedules and sensors. The only folder that imports Dagster.

Belongs here: which asset is built from which, when it is built, and what must hold. Does not belong here: how anything
is computed; an asset is ten to twenty lines around a function of the library.

Modules with decorated functions do not use `from __future__ import annotations`: Dagster reads the types of `context`
and `config` from the signature.
"""

import warnings

import dagster as dg

# `backfill_policy` is beta in 1.13. It is used on purpose and the version is pinned, so a warning at every command
# would only hide those that matter.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
