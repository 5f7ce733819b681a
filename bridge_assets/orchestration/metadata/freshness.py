"""By when the assets of a year must be up to date, from the date by which FHWA publishes.

The UI shows an asset as stale if it has not been materialized since the beginning of the last window. A rerun that
changes nothing counts: whether the new survey year itself is there is what the check `latest_year_available` reports.
"""

import datetime

import dagster as dg

from bridge_assets.data.sources.lateness import LATE_AFTER

#: FHWA publishes a survey year by the middle of June. The source must be read between 1 June and 1 July.
YEARLY_SOURCE = dg.FreshnessPolicy.cron(
    deadline_cron=f"0 0 {LATE_AFTER[1]} {LATE_AFTER[0]} *", lower_bound_delta=datetime.timedelta(days=30)
)

#: A month more for what is computed from it: a model trained on the new outcomes, scores, reports.
YEARLY_RESULTS = dg.FreshnessPolicy.cron(
    deadline_cron=f"0 0 {LATE_AFTER[1]} {LATE_AFTER[0] + 1} *", lower_bound_delta=datetime.timedelta(days=61)
)

#: For the descriptions of the assets with these policies.
SOURCE_IS_STALE = "Stale from 1 July on if it has not been read since 1 June: FHWA publishes by mid June."
RESULT_IS_STALE = "Stale from 1 August on if it has not been rebuilt since 1 June: FHWA publishes by mid June."
