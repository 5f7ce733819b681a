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
    return {**table_schemas(task), **warehouse, "looker_sheet": sheet_schema(warehouse["mart_bridge_outlook"])}


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


def columns_of_schema(schema: dg.TableSchema) -> tuple[Column, ...]:
    """The columns of a schema of the UI, with type and unit apart."""
    return tuple(
        Column(
            column.name,
            column.type.removesuffix(f" ({UNITS.get(column.name)})"),
            column.description or "",
            UNITS.get(column.name, ""),
        )
        for column in schema.columns
    )


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
