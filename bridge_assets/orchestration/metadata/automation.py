"""Which assets Dagster may bring up to date by itself, and when.

The UI shows the condition, and why it holds or not, on the asset's page. Nothing happens until somebody starts the
sensor `default_automation_condition_sensor`. A training and a deployment are requested by sensors of their own
(`orchestration.retraining`), which name their reason.
"""

import dagster as dg

_CHECKED = dg.AutomationCondition.all_deps_blocking_checks_passed()

#: After one of its inputs was materialized in another run, if all are there and their blocking checks have passed. For
#: every survey year, not only the latest one: a revised file is often of an earlier year.
AFTER_ITS_INPUTS = (
    dg.AutomationCondition.eager().without(dg.AutomationCondition.in_latest_time_window()) & _CHECKED
).with_label("after its inputs, if their blocking checks passed")

#: The same for one table over all survey years: years that nobody has loaded are no obstacle.
AFTER_ANY_YEAR = (
    dg.AutomationCondition.eager().without(~dg.AutomationCondition.any_deps_missing()) & _CHECKED
).with_label("after any survey year of its inputs, if their blocking checks passed")

AUTOMATION_CONDITIONS = {"drift_report": AFTER_ITS_INPUTS, "realised_quality": AFTER_ANY_YEAR}
