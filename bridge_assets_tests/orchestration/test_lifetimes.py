"""Years until Poor as assets: made in the first run, refused where the features are not those of the model."""

from __future__ import annotations

from small_platform import YEARS, failure

from bridge_assets.models.lifetimes import latest


def test_the_first_run_made_years_until_poor_of_every_survey_year(platform) -> None:
    assert platform.lake.years("years_until_poor") == list(range(YEARS[0], YEARS[1] + 1))
    kept = latest(platform.home / "models")
    assert set(platform.lake.read_years("years_until_poor")["model_version"]) == {kept.version}
    assert platform.first.checks["years_until_poor:years_are_whole"][0]
    assert platform.first.checks["deterioration_model:calibrated_and_better_than_the_table"][1] == "WARN"


def test_features_of_other_definitions_get_no_years_until_poor(platform) -> None:
    note = platform.lake.note("bridge_features", YEARS[1])
    platform.lake.write_note("bridge_features", YEARS[1], {**note, "features_digest": "another"})
    said = failure(platform.materialize("years_until_poor", partition=str(YEARS[1])))
    assert f"cannot be asked about the features of {YEARS[1]}" in said


def test_a_warning_does_not_keep_the_years_from_being_made(platform, monkeypatch) -> None:
    monkeypatch.setenv("BRIDGE_ASSETS_MODEL__SURVIVAL__CONCORDANCE_GAIN", "0.9")
    made = platform.materialize("deterioration_model", "years_until_poor", partition=str(YEARS[1]))
    assert made.success
    checks = {each.check_name: each for each in made.get_asset_check_evaluations()}
    warned = checks["calibrated_and_better_than_the_table"]
    assert not warned.passed
    assert "(concordance_gain)" in (warned.description or "")
