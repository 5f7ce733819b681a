"""A platform that Prometheus watches: served app, exporter, Pushgateway and an instance with something to say.

The configurations are the shipped ones with other addresses and shorter times.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import httpx
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus
from dagster._daemon.types import DaemonHeartbeat
from support.alerting.instigators import Instigator
from support.alerting.slack_receiver import SlackReceiver, slack_receiver
from support.deployment.server_process import ServerProcess
from support.prometheus.servers import alertmanager, free_port, prometheus, pushgateway, running

from bridge_assets.alerting.prometheus_alerts import write_rules
from bridge_assets.alerting.rules.thresholds import Thresholds
from bridge_assets.metrics.pushgateway import PushgatewayHandler
from bridge_assets.serve import container

#: Of the served app; Prometheus reads it from a file.
TOKEN = "0123456789abcdef" * 2

CONFIGS = Path(__file__).parents[3] / "configs"


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["2020"]))
def drift_report() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"drifted": 3, "largest_distance": 0.4, "dagster/partition_row_count": 7})


@dg.asset_check(asset=drift_report, name="features_within_limits")
def drifted() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


#: Asset, check and job of the names that the platform's have; the exporter knows them by these.
DEFINITIONS = dg.Definitions(
    assets=[drift_report], asset_checks=[drifted], jobs=[dg.define_asset_job("scoring", [drift_report])]
)


def make_instance(home: Path, gateway: str) -> None:
    """An instance on disk: one run that pushed its end, a heartbeat, and a schedule with a tick."""
    home.mkdir(parents=True)
    logs = {"handlers": {"push": {"class": f"{__name__}.{Push.__name__}", "level": "DEBUG", "address": gateway}}}
    config = {"telemetry": {"enabled": False}, "python_logs": {"dagster_handler_config": logs}}
    (home / "dagster.yaml").write_text(yaml.safe_dump(config))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        job = DEFINITIONS.resolve_job_def("scoring")
        assert job.execute_in_process(instance=instance, partition_key="2020").success
        instance.add_daemon_heartbeat(DaemonHeartbeat(1234.0, "SENSOR", None, []))
        Instigator(instance, "weekly_scoring", InstigatorType.SCHEDULE).tick(TickStatus.SUCCESS)


class Push(PushgatewayHandler):
    """Of the address that dagster.yaml gives here; the platform's own reads environment.yaml."""


@dataclass
class WatchedPlatform:
    """Addresses of Prometheus and of the served app, what Slack received, and the process that serves."""

    prometheus: str
    endpoint: str
    slack: SlackReceiver
    alertmanager: str
    archive: Path
    server: ServerProcess | None = None

    def start_endpoint(self) -> None:
        port = self.endpoint.rpartition(":")[2]
        command = [sys.executable, str(Path(container.__file__))]
        environ = {"BRIDGE_ASSETS_PACKAGE": str(self.archive), "BRIDGE_ASSETS_PORT": port, "BRIDGE_ASSETS_TOKEN": TOKEN}
        self.server = ServerProcess(command, **environ)

    def predict(self, body: dict) -> httpx.Response:
        return httpx.post(f"{self.endpoint}/predict", json=body, headers={"Authorization": f"Bearer {TOKEN}"})

    def stop_endpoint(self) -> None:
        if self.server is not None:
            self.server.stop()
            self.server = None


@contextmanager
def watched_platform(folder: Path, archive: Path) -> Iterator[WatchedPlatform]:
    """All of it, running. Prometheus scrapes the endpoint every two seconds."""
    with ExitStack() as stack:
        gateway = stack.enter_context(pushgateway(folder))
        make_instance(folder / "home" / "dagster", gateway)
        slack = stack.enter_context(slack_receiver())
        manager = stack.enter_context(alertmanager(folder, _alertmanager_config(folder, slack.url)))
        exporter = f"127.0.0.1:{free_port()}"
        endpoint = f"127.0.0.1:{free_port()}"
        write_rules(folder / "prometheus_rules.yaml", Thresholds(down_for="3s", least_requests=1))
        targets = {
            "bridge_assets_endpoint": endpoint,
            "bridge_assets_exporter": exporter,
            "pushgateway": gateway.removeprefix("http://"),
        }
        config = _prometheus_config(folder, targets, manager)
        platform = WatchedPlatform("", f"http://{endpoint}", slack, f"http://{manager}", archive)
        stack.enter_context(_exporter(folder, exporter, platform.start_endpoint))
        stack.callback(platform.stop_endpoint)
        platform.prometheus = stack.enter_context(prometheus(folder, config))
        yield platform


@contextmanager
def _exporter(folder: Path, address: str, meanwhile: Callable[[], object]) -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    environ = {**kept, "BRIDGE_ASSETS_DATA__HOME": str(folder / "home")}
    command = [str(Path(sys.executable).with_name("bridge-assets")), "exporter", "--port", address.rpartition(":")[2]]
    with running(command, f"http://{address}/health", folder / "exporter.log", environ, meanwhile):
        yield


def _prometheus_config(folder: Path, targets: dict[str, str], manager: str) -> Path:
    config = yaml.safe_load((CONFIGS / "prometheus_config.yaml").read_text())
    config["global"] = {"scrape_interval": "2s", "evaluation_interval": "1s"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [manager]
    for job in config["scrape_configs"]:
        if "scrape_interval" in job:  # the exporter, which takes a second where others compute
            job["scrape_interval"] = "4s"
        job["static_configs"][0]["targets"] = [targets.pop(job["job_name"])]
        if job["job_name"] == "bridge_assets_endpoint":
            (folder / "token").write_text(TOKEN)
            job["authorization"] = {"credentials_file": str(folder / "token")}
    assert not targets
    return _written(folder / "prometheus.yaml", config)


def _alertmanager_config(folder: Path, webhook: str) -> Path:
    config = yaml.safe_load((CONFIGS / "prometheus_alertmanager.yaml").read_text())
    (folder / "webhook").write_text(webhook)
    config["global"]["slack_api_url_file"] = str(folder / "webhook")
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    return _written(folder / "alertmanager.yaml", config)


def _written(path: Path, content: dict) -> Path:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path
