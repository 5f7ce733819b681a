"""Does the deployed version still predict what the exported model did? Runs after a deployment and on a schedule."""

import dagster as dg

from bridge_assets.deployment.targets import REMOTE_TARGETS
from bridge_assets.errors import DeploymentError
from bridge_assets.orchestration.resources import Platform


def _canary_check(key: str, description: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=f"{key}_endpoint", name="canary_passes", description=description)
    def check(platform: Platform) -> dg.AssetCheckResult:
        from bridge_assets.deployment.endpoints import open_endpoint

        try:
            report = open_endpoint(key, platform.environment, platform.data).canary()
        except DeploymentError as error:
            return dg.AssetCheckResult(passed=False, description=str(error))
        return dg.AssetCheckResult(
            passed=True,
            description=f"{report.rows} rows, largest difference {report.largest_difference:.2e}",
            metadata={"rows": report.rows, "largest_difference": report.largest_difference},
        )

    return check


local = _canary_check(
    "local", "For the probe's rows, the files on disk return the predictions that the exported model gave."
)
remote = [
    _canary_check(
        target.key, f"For the probe's rows, the endpoint on {target.title} returns the exported model's predictions."
    )
    for target in REMOTE_TARGETS
]
