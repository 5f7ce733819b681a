"""Column lineage, of SQL in the forms that dbt compiles, and of the models themselves."""

from __future__ import annotations

import dagster as dg
import pytest

from bridge_assets.definitions import defs
from bridge_assets.orchestration.metadata.column_lineage import LINEAGE_KEY, column_lineage
from bridge_assets.orchestration.metadata.table_schemas import SCHEMA_KEY

INPUTS = {"raw_bridges": ("survey_year", "DECK_COND_058", "ADT_029"), "stg_bridges": ("key", "condition", "seen_on")}

#: Its columns cannot be traced: it passes whole rows as values.
UNTRACED_MODELS = {"renumbered_structures"}


def test_a_source_is_read_from_files_and_keeps_the_spelling_of_its_items() -> None:
    sql = """
        with records as (
            select * from read_parquet('/data/o''clock/lake/raw_bridges/*.parquet', union_by_name = true)
        )
        select survey_year, case when DECK_COND_058 <> 'N' then cast(deck_cond_058 as integer) end as deck, 1 as one
        from records where ADT_029 > 0
    """
    assert column_lineage(sql, INPUTS) == {
        "survey_year": [("raw_bridges", "survey_year")],
        "deck": [("raw_bridges", "DECK_COND_058")],
        "one": [],
    }


def test_columns_are_followed_through_joins_windows_and_aliases_used_in_the_same_select() -> None:
    sql = """
        with history as (
            select key, condition, lag(condition) over visits as previous, previous - condition as lost
            from "warehouse"."main"."stg_bridges"
            window visits as (partition by key order by seen_on)
        )
        select bridges.key, history.lost > 0 as fell, coalesce(bridges.seen_on, null) as seen_on
        from history
        inner join "warehouse"."main"."stg_bridges" as bridges using (key)
    """
    lineage = column_lineage(sql, INPUTS)
    assert lineage["fell"] == [("stg_bridges", "condition")]
    assert lineage["seen_on"] == [("stg_bridges", "seen_on")]
    assert lineage["key"] == [("stg_bridges", "key")]


@pytest.fixture
def shown_lineage(platform) -> dict[str, dict[str, set[tuple[str, str]]]]:
    """Model -> column -> its (asset, column), as the first run recorded them."""
    found = {}
    with dg.DagsterInstance.get() as instance:
        for key in defs.resolve_asset_graph().materializable_asset_keys:
            event = instance.get_latest_materialization_event(key)
            value = event and event.asset_materialization and event.asset_materialization.metadata.get(LINEAGE_KEY)
            if isinstance(value, dg.TableColumnLineageMetadataValue):
                found[key.to_user_string()] = {
                    column: {(dep.asset_key.to_user_string(), dep.column_name) for dep in deps}
                    for column, deps in value.column_lineage.deps_by_column.items()
                }
    return found


@pytest.mark.slow
def test_the_models_show_where_their_columns_come_from(shown_lineage) -> None:
    assert shown_lineage["fct_condition_transitions"]["fall"] >= {
        ("int_inspections", "condition"),
        ("int_inspections", "inspection_date"),
    }
    staging = shown_lineage["stg_bridges"]
    assert staging["deck_rating_058"] == {("raw_bridges", "DECK_COND_058")}
    assert staging["deck_area_m2"] == {
        ("raw_bridges", name)
        for name in ("DECK_AREA", "STRUCTURE_LEN_MT_049", "DECK_WIDTH_MT_052", "APPR_WIDTH_MT_032")
    }
    assert shown_lineage["mart_bridge_outlook"]["state_fall_probability"] >= {
        ("bridge_predictions", "fall_probability")
    }
    assert shown_lineage["mart_condition_by_year"]["good"] == {("fct_condition_by_year", "good")}
    assert shown_lineage["fct_condition_by_year"]["good"] == {("stg_bridges", "condition_class")}


@pytest.mark.slow
def test_a_reader_of_the_open_source_ui_sees_the_sources_as_a_table(platform) -> None:
    sources = platform.first_run.materializations["fct_condition_transitions"]["column_sources"]
    assert "| next_condition | int_inspections.condition |" in sources.replace("\\_", "_")


@pytest.mark.slow
def test_every_model_has_lineage_and_it_names_columns_that_exist(shown_lineage) -> None:
    graph = defs.resolve_asset_graph()
    models = {key.to_user_string() for key in graph.materializable_asset_keys if "dbt" in graph.get(key).kinds}
    assert set(shown_lineage) == models - UNTRACED_MODELS
    columns = {
        key.to_user_string(): {column.name for column in graph.get(key).metadata[SCHEMA_KEY].columns}
        for key in graph.materializable_asset_keys
        if SCHEMA_KEY in graph.get(key).metadata
    }
    for model, by_column in shown_lineage.items():
        assert set(by_column) == columns[model]
        for deps in by_column.values():
            assert {name for asset, name in deps if name not in columns[asset]} == set()
