"""The columns of every table, for the UI: name, type, unit and meaning.

Those that Python writes are described in `data.table_columns`. The dbt models declare theirs in the YAML files of
`dbt_project/models`, where dbt enforces them; only their units are added here.
"""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from bridge_assets.data.table_columns import UNITS, Column, columns_of_tables

#: Metadata key that the UI reads.
SCHEMA_KEY = "dagster/column_schema"


def asset_schemas(specs: Iterable[dg.AssetSpec], task: str) -> dict[str, dg.TableSchema]:
    """The schema of every asset that is a table, by asset.

    Parameters
    ----------
    specs : iterable of AssetSpec
        All assets; dbt models bring their schema along.
    task : str
        `task` of model_config.yaml.
    """
    warehouse = {
        spec.key.to_user_string(): with_units(spec.metadata[SCHEMA_KEY])
        for spec in specs
        if SCHEMA_KEY in spec.metadata
    }
    sheet = sheet_schema(warehouse["mart_bridge_outlook"])
    return {**table_schemas(task), **warehouse, "looker_sheet": sheet, "bridge_map_layer": map_schema(sheet)}


def table_schemas(task: str) -> dict[str, dg.TableSchema]:
    """The schema of every table that a Python asset writes, by asset; looker_sheet is in `sheet_schema`.

    Parameters
    ----------
    task : str
        `task` of model_config.yaml. A regression adds its own columns.
    """
    return {name: _schema(columns) for name, columns in columns_of_tables(task).items()}


def _schema(columns: Iterable[Column]) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, _type_with_unit(column.type, column.unit), column.meaning) for column in columns
        ]
    )


def sheet_schema(outlook: dg.TableSchema) -> dg.TableSchema:
    """The schema of looker_sheet, from that of mart_bridge_outlook."""
    from bridge_assets.reporting.outlook.columns import sheet_columns

    return _schema(sheet_columns(columns_of_schema(outlook)))


def map_schema(sheet: dg.TableSchema) -> dg.TableSchema:
    """The schema of bridge_map_layer: the columns of the sheet with their names in words, and the point."""
    from bridge_assets.reporting.outlook.columns import TITLES

    point = Column("geometry", "point", "Position (items 16 and 17), WGS 84, longitude first. NBI files name no datum.")
    return _schema([*(each._replace(name=TITLES[each.name]) for each in columns_of_schema(sheet)), point])


def columns_of_schema(schema: dg.TableSchema) -> tuple[Column, ...]:
    """The columns of a schema of the UI, with type and unit apart."""
    return tuple(
        Column(column.name, kind, column.description or "", unit)
        for column in schema.columns
        for kind, unit in (_apart(column.type),)
    )


def _apart(kind: str) -> tuple[str, str]:
    """Type and unit of `float (years)`."""
    of_what, _, unit = kind.partition(" (") if kind.endswith(")") and not kind.startswith("struct") else (kind, "", "")
    return of_what, unit.removesuffix(")")


def with_units(schema: dg.TableSchema) -> dg.TableSchema:
    """The schema of a dbt model, with the units of its columns."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(column.name, _type_with_unit(column.type, UNITS.get(column.name, "")), column.description)
            for column in schema.columns
        ]
    )


def _type_with_unit(kind: str, unit: str) -> str:
    return f"{kind} ({unit})" if unit else kind
