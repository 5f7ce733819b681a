"""Column lineage of the dbt models, read from the SQL that dbt compiled.

dagster-dbt's own `fetch_column_metadata` opens the DuckDB file in this process and parses each model once per column,
which takes minutes. Here each model is parsed once, and the columns of its inputs come from the declared schemas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.lineage import Node

#: Metadata key that the UI reads.
LINEAGE_KEY = "dagster/column_lineage"

_DIALECT = "duckdb"


def column_lineage(sql: str, inputs: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[str, str]]]:
    """The input columns that each column of a query is computed from.

    Parameters
    ----------
    sql : str
        Compiled SQL of one dbt model. A table is named, or read with `read_parquet('.../TABLE/*.parquet')`.
    inputs : mapping
        Table -> names of its columns.

    Returns
    -------
    dict
        Column -> sorted list of (table, column), with names as in `inputs`. The list is empty if the column is computed
        from none, such as a count of rows.

    Raises
    ------
    sqlglot.errors.SqlglotError
        If the SQL cannot be parsed.
    """
    from sqlglot import parse_one
    from sqlglot.lineage import lineage

    query = parse_one(sql, dialect=_DIALECT).transform(_named_table)
    schema = {table.lower(): dict.fromkeys(map(str.lower, columns), "unknown") for table, columns in inputs.items()}
    spelling = {(table.lower(), name.lower()): (table, name) for table, names in inputs.items() for name in names}
    nodes = lineage(None, query, schema, dialect=_DIALECT, trim_selects=False, copy=False)
    return {
        column: sorted({spelling[found] for leaf in node.walk() if (found := _table_column(leaf)) in spelling})
        for column, node in nodes.items()
    }


def model_lineage(
    manifest: Mapping[str, Any], model: str, compiled: Path, sources: Mapping[str, Sequence[str]]
) -> dg.TableColumnLineage | None:
    """The column lineage of a dbt model, for the UI.

    Parameters
    ----------
    manifest : mapping
        dbt's manifest; its models have their columns.
    model : str
    compiled : Path
        dbt's folder of compiled SQL, `<target>/compiled`.
    sources : mapping
        Source table -> names of its columns.

    Returns
    -------
    TableColumnLineage or None
        None if no column can be traced: renumbered_structures passes whole rows as values.

    Raises
    ------
    OSError
        If there is no compiled SQL.
    sqlglot.errors.SqlglotError
        If the SQL cannot be parsed.
    """
    models = {node["name"]: node for key, node in manifest["nodes"].items() if key.startswith("model.")}
    node = models[model]
    inputs = {}
    for unique_id in node["depends_on"]["nodes"]:
        name = unique_id.split(".")[-1]
        inputs[name] = [*models[name]["columns"]] if name in models else sources[name]
    sql = (compiled / node["package_name"] / node["original_file_path"]).read_text(encoding="utf-8")
    deps = {
        column: [dg.TableColumnDep(asset_key=dg.AssetKey(table), column_name=name) for table, name in origins]
        for column, origins in column_lineage(sql, inputs).items()
    }
    return dg.TableColumnLineage(deps) if any(deps.values()) else None


def _named_table(node: exp.Expr) -> exp.Expr:
    """Replace `"database"."schema"."TABLE"` and `read_parquet('.../TABLE/*.parquet')` by `TABLE`."""
    from sqlglot import exp

    if not isinstance(node, exp.Table):
        return node
    if isinstance(node.this, exp.ReadParquet):
        name = node.this.expressions[0].name.split("/")[-2]
    elif node.db:
        name = node.name
    else:  # a common table expression
        return node
    table = exp.table_(name.lower())
    return exp.alias_(table, node.alias, table=True) if node.alias else table


def _table_column(leaf: Node) -> tuple[str, str] | None:
    """Table and column, in lower case, of a node without inputs; None if it is not a column of a table."""
    from sqlglot import exp

    expression = leaf.expression
    if leaf.downstream or not isinstance(expression, exp.Table):
        return None
    return expression.name.lower(), exp.to_column(leaf.name).name.lower()
