"""A new file requests a run for exactly the survey years that it affects, once."""

from __future__ import annotations

import shutil
from typing import Any

import dagster as dg
import pytest
from support.nbi_files import write_nbi

from bridge_assets.definitions import defs
from bridge_assets.orchestration.partitions import RANGE_END, RANGE_START
from bridge_assets.orchestration.resources import Platform
from bridge_assets.orchestration.schedules import weekly_scoring
from bridge_assets.orchestration.sensors import new_survey_file


def tick(instance: dg.DagsterInstance | None = None) -> Any:
    with dg.build_sensor_context(
        instance=instance or dg.DagsterInstance.ephemeral(), resources={"platform": Platform()}, definitions=defs
    ) as context:
        return new_survey_file(context)


def next_year(platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 2019, in the layout of that year; that it has far fewer structures than 2018 is allowed."""
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__STRUCTURES_MIN_SHARE", "0")
    rows = [{"STRUCTURE_NUMBER_008": str(number)} for number in range(50)]
    write_nbi(platform.home / "sample", 2019, rows)


def test_without_new_files_the_sensor_requests_nothing(platform) -> None:
    assert isinstance(tick(), dg.SkipReason)


def test_a_new_year_requests_only_that_year_and_runs(platform, monkeypatch) -> None:
    next_year(platform, monkeypatch)
    requested = tick()
    [request] = requested.run_requests
    assert request.partition_key == "2019"
    assert request.run_key.startswith("2019:")
    assert tick().run_requests[0].run_key == request.run_key

    before = (platform.lake.year_path("bridge_predictions", 2018)).stat().st_mtime_ns
    outcome = platform.run("latest_year", (2019, 2019))
    assert outcome.success, outcome.errors
    assert "bridge_model" not in outcome.materializations
    assert platform.lake.read_year("bridge_predictions", 2019).height == 50
    assert platform.lake.year_path("bridge_predictions", 2018).stat().st_mtime_ns == before
    assert isinstance(tick(), dg.SkipReason)


def test_a_revised_year_requests_the_later_ones_too(platform) -> None:
    source = platform.home / "sample" / "NBI_2015.txt"
    source.write_bytes(source.read_bytes().rsplit(b"\n", 3)[0] + b"\n")
    [request] = tick().run_requests
    assert request.partition_key is None
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == ("2015", "2018")


def test_a_copy_with_a_new_date_is_not_a_new_file(platform) -> None:
    source = platform.home / "sample" / "NBI_2015.txt"
    shutil.copyfile(source, source.with_name("copy"))
    source.with_name("copy").rename(source)
    assert isinstance(tick(), dg.SkipReason)


@pytest.mark.parametrize(("name", "content", "says"), [
    ("NBI_2019.txt", "<html>moved</html>", "web page"),
    ("NBI_2018_again.txt", "x", "2 files for survey year 2018"),
])  # fmt: skip
def test_an_unusable_file_is_reported_and_requests_nothing(platform, name, content, says) -> None:
    (platform.home / "sample" / name).write_text(content)
    skipped = tick()
    assert isinstance(skipped, dg.SkipReason)
    assert says in (skipped.skip_message or "")


def test_a_new_file_is_an_event_of_the_external_asset_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(tmp_path / "nbi"))
    (tmp_path / "nbi").mkdir()
    write_nbi(tmp_path / "nbi", 2018, [{"STRUCTURE_NUMBER_008": "1"}])
    with dg.DagsterInstance.ephemeral() as instance:
        [event] = tick(instance).asset_events
        assert event.asset_key == dg.AssetKey("fhwa_nbi")
        assert event.metadata["latest"].value == 2018
        assert event.metadata["files"].value == "NBI_2018.txt"
        instance.report_runless_asset_event(event)
        again = tick(instance)
        assert again.asset_events == []
        assert len(again.run_requests) == 1

        write_nbi(tmp_path / "nbi", 2018, [{"STRUCTURE_NUMBER_008": "1"}, {"STRUCTURE_NUMBER_008": "2"}])
        assert len(tick(instance).asset_events) == 1


def test_a_sample_is_not_what_fhwa_publishes(platform, monkeypatch) -> None:
    next_year(platform, monkeypatch)
    assert tick().asset_events == []


def test_a_missing_folder_is_reported(platform, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_DATA__SOURCE", str(platform.home / "gone"))
    skipped = tick()
    assert isinstance(skipped, dg.SkipReason)
    assert "the source folder does not exist" in (skipped.skip_message or "")


def test_the_schedule_scores_the_latest_year(platform) -> None:
    def at_five() -> Any:
        return weekly_scoring(dg.build_schedule_context(resources={"platform": Platform()}))

    assert at_five().partition_key == "2018"
    shutil.rmtree(platform.home / "endpoints")
    assert "No model is being served" in at_five().skip_message
    assert defs.resolve_schedule_def("weekly_scoring").job_name == "scoring"
