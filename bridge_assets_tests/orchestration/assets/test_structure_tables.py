"""Tables of structures, packed by `local_endpoint`: a key or a raw record is answered as batch scoring answers it.

Everything is real: the small platform, its lake, its package and its scores.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.deployment.local_endpoint import corrupt_byte
from support.deployment.server_process import ServerProcess
from support.small_platform import YEARS, SmallPlatform

from bridge_assets.data.features.history import HISTORY_COLUMNS
from bridge_assets.data.lake import Lake
from bridge_assets.deployment.core.structure_tables import pack_structure_tables
from bridge_assets.deployment.local import LocalEndpoint
from bridge_assets.errors import DeploymentError
from bridge_assets.nbi.coding_guide.items import ITEMS_BY_NAME
from bridge_assets.registry.model_version import latest_version
from bridge_assets.runtime.package import STRUCTURES, TABLE_FILES, Package
from bridge_assets.runtime.structure_tables import StructureTables, skipped_reason
from bridge_assets.serve.bridges.answers import BridgeAnswers
from bridge_assets.serve.bridges.records import RecordRows
from bridge_assets.serve.loaded_model import LoadedModel
from bridge_assets.serve.requests.request_rows import RequestError
from bridge_assets.settings import SurvivalSettings

LAST = YEARS[1]


def endpoint_of(platform: SmallPlatform) -> LocalEndpoint:
    return LocalEndpoint(platform.home / "endpoints" / "local")


def package_of(platform: SmallPlatform) -> Package:
    return Package((endpoint_of(platform).root / "current").resolve())


def answers_of(package: Package) -> BridgeAnswers:
    loaded = LoadedModel.load(package, "test")
    found = BridgeAnswers.load(package, loaded.model, loaded.predict)
    assert found is not None
    return found


def raw_records(lake: Lake, year: int) -> dict[str, dict[str, Any]]:
    """Structure key -> its record of a file, with the items that are not blank."""
    records = lake.read_year("raw_bridges", year).filter("on_structure").unique("structure_key", keep="none")
    items = [name for name in records.columns if name in ITEMS_BY_NAME]
    return {
        row["structure_key"]: {name: row[name] for name in items if row[name] is not None}
        for row in records.iter_rows(named=True)
    }


def structures(keys: list[str]) -> list[dict[str, str]]:
    return [{"state": key[:2], "structure": key[3:]} for key in keys]


def in_parts(values: list[Any], size: int = 1000) -> list[list[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def test_a_key_has_the_score_of_batch_to_the_last_bit(platform) -> None:
    scores, answers = platform.lake.read_year("bridge_predictions", LAST), answers_of(package_of(platform))
    keys = scores["structure_key"].to_list()
    found = [answers.answer({"structures": structures(part)}) for part in in_parts(keys)]
    predictions = [each for answer in found for each in answer["predictions"]]
    assert predictions == scores["fall_probability"].to_list()
    bridges = [bridge for answer in found for bridge in answer["bridges"]]
    for column, name in (("", "expected"), ("_low", "low"), ("_high", "high")):
        assert [bridge["years_until_poor"][name] for bridge in bridges] == scores[f"years_until_poor{column}"].to_list()
    alone = [answers.answer({"structures": structures([key])})["predictions"][0] for key in keys[:50]]
    assert alone == predictions[:50]


def test_the_record_of_the_last_file_has_the_score_of_batch_to_the_last_bit(platform) -> None:
    scores, answers = platform.lake.read_year("bridge_predictions", LAST), answers_of(package_of(platform))
    expected = dict(scores.select("structure_key", "fall_probability").iter_rows())
    years = dict(scores.select("structure_key", "years_until_poor").iter_rows())
    records = raw_records(platform.lake, LAST)
    compared = 0
    for key in expected.keys() & records.keys():
        try:
            answer = answers.answer({"records": [records[key]]}) if compared < 100 else None
        except RequestError as refused:  # a code that the guide does not have: a file is loaded nevertheless
            assert "is not one of its codes" in str(refused), refused
            continue
        if answer is not None:
            assert answer["predictions"] == [expected[key]]
            assert answer["bridges"][0]["years_until_poor"]["expected"] == years[key]
            assert answer["bridges"][0]["structure_key"] == key
            compared += 1
    assert compared == 100


def test_records_of_the_next_file_continue_the_histories_as_the_warehouse_does(platform, tmp_path) -> None:
    lake, names = platform.lake, list(HISTORY_COLUMNS)
    before = LocalEndpoint(tmp_path / "before")
    earlier = tmp_path / "lake"
    shutil.copytree(lake.folder, earlier)
    (earlier / "bridge_features" / f"{LAST}.parquet").unlink()
    version = latest_version(platform.home / "models")
    pack = partial(pack_structure_tables, Lake(earlier), platform.home / "models", SurvivalSettings())
    before.deploy(version, tables=pack)
    package = Package((before.root / "current").resolve())
    tables = StructureTables.open(package)
    assert tables is not None and tables.survey_year == LAST - 1
    records = raw_records(lake, LAST)
    features = lake.read_year("bridge_features", LAST).filter(pl.col("structure_key").is_in(list(records)))
    rows = RecordRows(tables).rows([{**records[key], "survey_year": LAST} for key in features["structure_key"]])
    found = pl.DataFrame(rows.features, schema=tables.info["features"]).fill_nan(None)
    # Peers fell as often as known before; everything else is that of the next survey year.
    for name in [each for each in tables.info["features"] if each != "peers_fall_rate"]:
        assert found[name].equals(features[name], null_equal=True), name
    transitions = lake.read("fct_condition_transitions").filter(pl.col("survey_year") == LAST)
    assert transitions.height > 100, "there are inspections that continue a history"
    assert set(names) <= set(transitions.columns)
    assert transitions.filter(pl.col("deterioration_spell") > 1).height > 10, "and some that found work"


def test_reasons_are_those_of_batch(platform) -> None:
    scores, answers = platform.lake.read_year("bridge_predictions", LAST), answers_of(package_of(platform))
    explained = scores.filter(pl.col("reasons").is_not_null()).head(20)
    answer = answers.answer({"structures": structures(explained["structure_key"].to_list()), "explain": True})
    for bridge, reasons in zip(answer["bridges"], explained["reasons"].to_list(), strict=True):
        found = {each["feature"]: each for each in bridge["contributions"]}
        for reason in reasons:
            assert found[reason["feature"]]["contribution"] == pytest.approx(reason["contribution"], abs=1e-6)
            assert found[reason["feature"]]["value"] == reason["value"]
        largest = [abs(each["contribution"]) for each in bridge["contributions"]]
        assert largest == sorted(largest, reverse=True)
        total = bridge["base"] + sum(each["contribution"] for each in bridge["contributions"])
        assert total == pytest.approx(bridge["fall_probability"], abs=1e-5)


def test_what_is_not_known_is_said(platform) -> None:
    answers = answers_of(package_of(platform))
    bridge = answers.answer({"records": [{"1": "25", "58": "5", "90": "0618", "29": 1200}]})["bridges"][0]
    said = " | ".join(bridge["assumed"])
    assert f"The survey year is {LAST}, the last one of the tables" in said
    assert "a new bridge without earlier inspections: it has no structure number (item 8)" in said
    assert "culvert rating (item 62) is not known or does not apply" in said
    assert "the median in training" in said
    assert bridge["known"] == {}
    assert bridge["structure_key"] is None
    flagged = answers.answer({"records": [{"1": "25", "58": "5", "49": 20, "48": 200}]})["bridges"][0]
    assert flagged["flags"] == ["The maximum span (item 48) is longer than the whole structure (item 49)"]


def test_an_unknown_structure_is_refused_with_the_nearest_of_its_state(platform) -> None:
    answers = answers_of(package_of(platform))
    key = answers.tables.keys[int(answers.tables.scored_rows()[0])]
    with pytest.raises(RequestError, match=rf"unknown structure .*: none of the .* has this number; nearest: .*{key}"):
        answers.answer({"structures": [{"state": key[:2], "structure": f"{key[3:]}X"}]})
    absent = answers.tables.table.filter(~pl.col("is_scored"))["structure_key"]
    if len(absent):
        with pytest.raises(RequestError, match=r"not in the file of|has no condition rating"):
            answers.answer({"structures": structures([absent[0]])})


def test_one_record_among_several_is_named_by_its_number(platform) -> None:
    answers = answers_of(package_of(platform))
    good = {"1": "25", "58": "5"}
    with pytest.raises(RequestError, match=r"record 1: item 58 .*'12' is not one of its codes"):
        answers.answer({"records": [good, {**good, "58": "12"}]})
    with pytest.raises(RequestError, match=r"record 2: item 90 .*'1399' is not MMYY"):
        answers.answer({"records": [{**good, "survey_year": LAST + 1}, good, {**good, "90": "1399"}]})
    with pytest.raises(RequestError, match=rf"record 0: survey_year: {LAST - 1} is not between {LAST}"):
        answers.answer({"records": [{**good, "survey_year": LAST - 1}]})


def test_definitions_of_another_version_are_refused_for_records_and_not_packed(platform) -> None:
    answers = answers_of(package_of(platform))
    other = replace(answers, model=replace(answers.model, features_digest="0" * 12))
    with pytest.raises(RequestError, match=r"this installation computes features by the definitions .* 000000000000"):
        other.answer({"records": [{"1": "25", "58": "5"}]})
    packed = pack_structure_tables(platform.lake, platform.home / "models", SurvivalSettings(), "0" * 12)
    assert not packed.contents
    assert "trained with feature definitions 000000000000" in packed.skipped_reason


@pytest.mark.parametrize("name", TABLE_FILES)
def test_a_damaged_table_is_found_when_it_is_opened(platform, name) -> None:
    package = package_of(platform)
    corrupt_byte(package.folder / name)
    with pytest.raises(DeploymentError, match=rf"{name} is not what was deployed"):
        StructureTables.open(package)


def test_half_written_features_are_not_packed_and_the_package_says_so(platform, tmp_path) -> None:
    path = platform.lake.year_path("bridge_features", LAST)
    path.with_suffix(".json").write_text(
        json.dumps({**platform.lake.provenance("bridge_features", LAST), "digest": "0" * 64})
    )
    endpoint, version = LocalEndpoint(tmp_path / "endpoint"), latest_version(platform.home / "models")
    pack = partial(pack_structure_tables, platform.lake, platform.home / "models", SurvivalSettings())
    endpoint.deploy(version, tables=pack)
    package = Package((endpoint.root / "current").resolve())
    assert StructureTables.open(package) is None
    assert f"the features of {LAST} are half-written" in skipped_reason(package)


def test_newer_tables_are_a_new_package_of_the_same_model_and_no_version_to_roll_back_to(platform) -> None:
    endpoint, version = endpoint_of(platform), latest_version(platform.home / "models")
    old = (endpoint.root / "current").readlink()
    pack = partial(pack_structure_tables, platform.lake, platform.home / "models", SurvivalSettings())
    assert endpoint.deploy(version, tables=pack).removed == ()
    assert (endpoint.root / "current").readlink() == old, "the same tables: nothing changes"
    path: Path = platform.lake.year_path("bridge_features", LAST)
    path.unlink()
    deployment = endpoint.deploy(version, tables=pack)
    new = (endpoint.root / "current").readlink()
    assert new != old
    assert new.name.partition(".")[0] == old.name.partition(".")[0]
    assert deployment.removed == (old.name,)
    assert endpoint.previous() is None
    assert STRUCTURES in Package((endpoint.root / "current").resolve()).manifest["served"]


def test_the_server_answers_keys_and_records_and_follows_newer_tables(platform) -> None:
    command = [str(Path(sys.executable).parent / "bridge-assets"), "serve", "--port", "0"]
    server = ServerProcess(command, BRIDGE_ASSETS_DATA__HOME=str(platform.home))
    try:
        scores = platform.lake.read_year("bridge_predictions", LAST)
        key, probability = scores.select("structure_key", "fall_probability").row(0)
        body = {"structures": structures([key]), "explain": True}
        with httpx.Client(base_url=server.url, timeout=120) as client:
            answer = client.post("/predict", json=body)
            assert answer.status_code == 200, answer.text
            assert answer.json()["predictions"] == [probability]
            assert answer.json()["survey_year"] == LAST
            assert len(answer.json()["bridges"][0]["contributions"]) > 40
            operation = client.get("/openapi.json").json()["paths"]["/predict"]["post"]
            asked, answered = (
                content["application/json"]["examples"]["a_structure"]["value"]
                for content in (operation["requestBody"]["content"], operation["responses"]["200"]["content"])
            )
            assert client.post("/predict", json=asked).json() == answered, "the example of OpenAPI is a real one"
            refused = client.post("/predict", json={"records": [{"1": "25", "58": "12"}]})
            assert refused.status_code == 422
            assert "record 0: item 58 (DECK_COND_058, deck condition): '12'" in refused.json()["error"]
            platform.lake.year_path("bridge_features", LAST).unlink()
            pack = partial(pack_structure_tables, platform.lake, platform.home / "models", SurvivalSettings())
            endpoint_of(platform).deploy(latest_version(platform.home / "models"), tables=pack)
            until = time.monotonic() + 30
            while client.post("/predict", json=body).json()["survey_year"] == LAST:
                assert time.monotonic() < until, server.log
                time.sleep(0.1)
        logged = json.dumps(server.log)
        assert key not in logged and "DECK_COND_058" not in logged
    finally:
        server.stop()


def test_the_requests_of_the_page_are_answered_as_it_says(platform) -> None:
    page = (Path(__file__).parents[3] / "docs" / "one-bridge.md").read_text(encoding="utf-8")
    requests = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    assert len(requests) == 2
    answers = answers_of(package_of(platform))
    fields = {
        name for cell in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE) for name in re.findall(r"`(.*?)`", cell)
    }
    found: set[str] = set()
    for request in requests:
        answer = answers.answer(request)
        bridge = answer["bridges"][0]
        assert bridge["structure_key"] == "01-SMP000002"
        found = {*answer, *(f"bridges[].{name}" for name in bridge if name != "structure_key"), "contributions"}
        assert found - {"bridges", "bridges[].contributions"} <= fields
    assert fields <= found
    message = re.search(r"`(record 0: item 58 .*?)`", page, re.DOTALL)
    assert message is not None
    with pytest.raises(RequestError) as refused:
        answers.answer({"records": [{"1": "01", "58": "12"}]})
    assert str(refused.value) == " ".join(message[1].split())


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False),
    st.text(max_size=20),
    st.sampled_from(["5", "N", "0618", "²", "1e400", "-0", "+5", "0x1F", "\ud800", "1" * 300, " 7 ", "'6'"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
NAMES = st.one_of(st.sampled_from([*ITEMS_BY_NAME, "58", "058", "90", "1", "survey_year"]), st.text(max_size=12))


def test_whatever_is_sent_is_answered_or_refused_in_words(platform) -> None:
    answers = answers_of(package_of(platform))

    @settings(max_examples=int(os.environ.get("BRIDGE_ASSETS_FUZZ_EXAMPLES", "150")), deadline=None, database=None)
    @given(
        records=st.lists(st.dictionaries(NAMES, VALUES, max_size=8), max_size=3),
        structures=st.lists(st.dictionaries(st.sampled_from(["state", "structure", "x"]), VALUES), max_size=2),
        is_valid_otherwise=st.booleans(),
    )
    def send(records: list[dict], structures: list[dict], is_valid_otherwise: bool) -> None:
        base = {"STATE_CODE_001": "25", "DECK_COND_058": "6"} if is_valid_otherwise else {}
        for request in ({"records": [base | each for each in records]}, {"structures": structures}):
            try:
                body, predictions = answers.respond(json.dumps(request).encode())
            except RequestError as refused:
                assert 400 <= refused.status < 500
                str(refused).encode()  # it can be sent
            else:
                assert len(json.loads(body)["bridges"]) == len(predictions)
                assert all(0 <= each <= 1 for each in predictions)

    send()
