"""What a person sees of a materialization: previews, plots, links, column schemas."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from bridge_assets.nbi.items import DERIVED, ITEMS

if TYPE_CHECKING:
    import polars as pl

OWNERS_OF_DATA = ["team:bridge-data"]
OWNERS_OF_MODELS = ["team:bridge-models"]

#: Longest cell of a preview, in characters.
CELL = 40


def preview(table: pl.DataFrame, rows: int = 6) -> dg.MarkdownMetadataValue:
    """The first rows of a table. Text of the inventory is escaped: it is data, not Markdown."""
    lines = ["|" + "|".join(table.columns) + "|", "|" + "---|" * table.width]
    lines += ["|" + "|".join(_cell(value) for value in row) + "|" for row in table.head(rows).iter_rows()]
    return dg.MetadataValue.md("\n".join(lines))


def plot(png: bytes) -> dg.MarkdownMetadataValue:
    """A picture inside the metadata: nothing to host, nothing to lose."""
    return dg.MetadataValue.md(f"![plot](data:image/png;base64,{base64.b64encode(png).decode()})")


def file(path: Path) -> dg.PathMetadataValue:
    return dg.MetadataValue.path(str(path))


def bridge_columns() -> dg.TableSchema:
    """The column schema of raw_bridges: every NBI item with its number, unit and meaning."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn("file", "text", "Name of the source file"),
            dg.TableColumn("line_number", "integer", "Line in that file, the header being line 1"),
            *(
                dg.TableColumn(
                    item.name,
                    item.kind.value + (f" ({item.unit})" if item.unit else ""),
                    (f"Item {item.number}. " if item.number else "") + item.meaning,
                )
                for item in ITEMS
            ),
            dg.TableColumn("unparsed", "text", "Numbers that were no numbers, as ITEM='text'"),
            *(dg.TableColumn(name, kind, meaning) for name, (kind, meaning) in DERIVED.items()),
        ]
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    text = text if len(text) <= CELL else text[: CELL - 1] + "…"
    for character, entity in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("|", "&#124;"),
        ("`", "&#96;"),
        ("[", "&#91;"),
        ("!", "&#33;"),
        ("*", "&#42;"),
        ("_", "&#95;"),
        ("\n", " "),
    ):
        text = text.replace(character, entity)
    return text
