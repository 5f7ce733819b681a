"""The roof: assets, checks, jobs, schedules and sensors. The only folder that imports Dagster.

Belongs here: what is made from what, when, and what must hold. Does not belong here: how anything is computed; an asset
is ten to twenty lines around a function of the library.

Modules with decorated functions do without `from __future__ import annotations`: Dagster reads the types of `context`
and
`config` from the bare signature.
"""

import warnings

import dagster as dg

# `backfill_policy` is beta in 1.13. It is used on purpose, and pinned; saying so at every command
# would bury what matters.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)
