"""The recording and alerting rules of Prometheus, in Python; `configs/prometheus_rules.yaml` is written from them.

    make rules     writes the YAML again; a test says if it is not in step

The service level objective of the served app: of 30 days' predictions, 99.5 % are answered without an error of the
server, and 99 % within half a second. An alert says how fast that budget of errors is used up, over a long window and
a short one, as in the Site Reliability Workbook (https://sre.google/workbook/alerting-on-slos/, section 6): the long
one says that it matters, the short one that it goes on.

Belongs here: one file of all rules (`rules` has them by subject). Does not belong here: who is told
(`prometheus_alertmanager.yaml`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from bridge_assets.alerting.rules import endpoint, platform
from bridge_assets.alerting.rules.rule import RuleGroup, rules_yaml
from bridge_assets.alerting.rules.thresholds import Thresholds
from bridge_assets.settings.folders import config_folder
from bridge_assets.storage import write_text

RULES_FILE = "prometheus_rules.yaml"

_HEADER = """\
# Written by `make rules` from bridge_assets/alerting/rules: change those files, not this one.
"""

_USUAL = Thresholds()


def rule_groups(thresholds: Thresholds = _USUAL) -> list[RuleGroup]:
    """All rules.

    Parameters
    ----------
    thresholds : Thresholds
    """
    return [
        RuleGroup("bridge_assets_objective", [*endpoint.ratios(thresholds), *endpoint.burn_alerts(thresholds)]),
        RuleGroup("bridge_assets_endpoint", list(endpoint.endpoint_alerts(thresholds))),
        RuleGroup("bridge_assets_batch", list(platform.batch_alerts(thresholds))),
        RuleGroup("bridge_assets_evidence", list(platform.evidence_alerts())),
        RuleGroup("bridge_assets_machinery", list(platform.machinery_alerts(thresholds))),
    ]


def write_rules(path: Path, thresholds: Thresholds = _USUAL) -> Path:
    """Write the YAML that `rule_files` of Prometheus names."""
    write_text(_HEADER + rules_yaml(rule_groups(thresholds)), path)
    return path


if __name__ == "__main__":
    write_rules(Path(sys.argv[1]) if len(sys.argv) > 1 else config_folder() / RULES_FILE)
