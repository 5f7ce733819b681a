"""Writes a table for Looker or Looker Studio, to a file or a tab of a Google Sheet.

Belongs here: writing a table in a form that a dashboard can read. Does not belong here: the contents of the table.

Text is written unchanged. A bridge name such as `=HYPERLINK(...)` comes from a public file that anyone may have edited:
in a Google Sheet it is stored with the input option RAW, as text that is shown and never evaluated. A CSV file contains
the same text; a program that evaluates formulas in CSV files must be configured not to.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from bridge_assets.errors import MissingExtraError, SheetError
from bridge_assets.extras import install_command
from bridge_assets.storage import atomic_write

if TYPE_CHECKING:
    import pandas as pd

#: "up to 10 million cells", support.google.com/drive/answer/37603.
MAX_SHEET_CELLS = 10_000_000

#: Rows per request: the Sheets API limits requests (60 per minute) and recommends payloads of at most 2 MB.
ROWS_PER_REQUEST = 5_000

SCOPES = ("https://www.googleapis.com/auth/spreadsheets",)

SUPPORTED_TARGETS = (
    "a file ending in .csv or .parquet, https://docs.google.com/spreadsheets/d/<key>, or gsheet://<key>/<tab>"
)


@dataclass(frozen=True, slots=True)
class SheetTab:
    """A tab of a Google Sheet: by name, by id (the `gid` in its address), or the first one."""

    key: str
    tab: str | None = None
    gid: int | None = None


class Worksheet(Protocol):
    """The part of `gspread.Worksheet` that is used here."""

    title: str
    spreadsheet: Any

    def resize(self, rows: int, cols: int) -> Any: ...

    def update(self, values: list[list[Any]], range_name: str, *, value_input_option: str) -> Any: ...


def export_to_looker(df: pd.DataFrame, out_path: str | Path, columns: pd.DataFrame | None = None) -> str:
    """Write a table where Looker reads it, replacing the previous one.

    Parameters
    ----------
    df : pd.DataFrame
        Columns are written in order; the index is not written.
    out_path : str or Path
        - a file ending in `.csv`: UTF-8, one header row, dates as YYYY-MM-DD, timestamps in ISO 8601, lists and records
          as JSON, missing values empty;
        - a file ending in `.parquet`: values unchanged;
        - `https://docs.google.com/spreadsheets/d/<key>` (the tab of `#gid=`, else the first one) or
          `gsheet://<key>/<tab>` (created if it does not exist). Requires the extra `sheets` and
          credentials from the environment: the file set in GOOGLE_APPLICATION_CREDENTIALS, or application default
          credentials. The sheet must be shared with that account.
    columns : pd.DataFrame, optional
        The data dictionary, written beside the table: `<name>_columns.csv`, or a tab `<tab> columns` of the sheet.

    Returns
    -------
    str
        `out_path`.

    Raises
    ------
    ValueError
        If `out_path` is none of these, there are no columns, two columns have the same name, or the table is too large
        for a sheet.
    ImportError
        If `out_path` is a sheet and gspread is not installed.
    SheetError
        If there are no credentials, or the sheet cannot be opened with them.
    StorageError
        If the file cannot be written. An existing file is unchanged.
    """
    target = _parse_target(out_path)
    if df.columns.empty:
        raise SheetError("the table has no columns, so there is nothing to write")
    if duplicate_columns := sorted({str(name) for name in df.columns[df.columns.duplicated()]}):
        raise SheetError(f"duplicated columns: {', '.join(duplicate_columns)}. Looker needs unique column names")
    if isinstance(target, SheetTab):
        if (cells := (len(df) + 1) * len(df.columns)) > MAX_SHEET_CELLS:
            raise SheetError(
                f"{cells:,} cells do not fit into a Google Sheet (at most {MAX_SHEET_CELLS:,}). What to do: write a "
                f".parquet file, or fewer rows"
            )
        write_tabs(_open_worksheet(target), df, columns)
    elif target.suffix.lower() == ".parquet":
        with atomic_write(target) as temp_path:
            df.to_parquet(temp_path, index=False)
    else:
        with atomic_write(target) as temp_path:
            _to_cell_values(df).to_csv(temp_path, index=False, encoding="utf-8", lineterminator="\n")
    if columns is not None and not isinstance(target, SheetTab):
        export_to_looker(columns, target.with_name(f"{target.stem}_columns.csv"))
    return str(out_path)


def sheet_rows(df: pd.DataFrame) -> list[list[Any]]:
    """The header and rows of a table as cell values of a sheet: text, numbers, Booleans, and "" for missing values.

    Dates are ISO text; lists and records are JSON. Every cell has a value, because a null would not overwrite the
    previous content of the cell.
    """
    header: list[Any] = [str(name) for name in df.columns]
    # astype(object) gives Python numbers instead of numpy numbers, which cannot be encoded as JSON.
    columns = [[_cell(value) for value in column.astype(object)] for _, column in _to_cell_values(df).items()]
    return [header, *(list(row) for row in zip(*columns, strict=True))]


def write_worksheet(worksheet: Worksheet, rows: list[list[Any]]) -> None:
    """Replace the contents of a worksheet; text is stored as text (RAW).

    The worksheet is first resized to the table, then every cell is overwritten: no previous content is left, and a
    dashboard never sees an empty sheet.
    """
    worksheet.resize(rows=len(rows), cols=len(rows[0]))
    for start in range(0, len(rows), ROWS_PER_REQUEST):
        worksheet.update(rows[start : start + ROWS_PER_REQUEST], f"A{start + 1}", value_input_option="RAW")


def write_tabs(worksheet: Worksheet, df: pd.DataFrame, columns: pd.DataFrame | None) -> None:
    """Replace the contents of a worksheet, and of the worksheet `<its title> columns` with the data dictionary."""
    write_worksheet(worksheet, sheet_rows(df))
    if columns is not None:
        write_worksheet(_tab(worksheet.spreadsheet, f"{worksheet.title} columns"), sheet_rows(columns))


def _parse_target(out_path: str | Path) -> Path | SheetTab:
    text = str(out_path)
    if "://" not in text:
        if Path(text).suffix.lower() not in (".csv", ".parquet"):
            raise SheetError(f"{text!r}: cannot write this type of file. Supported: {SUPPORTED_TARGETS}")
        return Path(text)
    address = urlsplit(text)
    if address.scheme == "gsheet" and (tab := unquote(address.path.strip("/"))) and address.netloc:
        return SheetTab(address.netloc, tab=tab)
    key = re.match(r"/spreadsheets/(?:u/\d+/)?d/([\w-]+)", address.path)
    if address.scheme == "https" and address.netloc == "docs.google.com" and key:
        gid = re.search(r"gid=(\d+)", f"{address.query}&{address.fragment}")
        return SheetTab(key[1], gid=int(gid[1]) if gid else None)
    raise SheetError(f"{text!r}: cannot write to this address. Supported: {SUPPORTED_TARGETS}")


def _open_worksheet(target: SheetTab) -> Worksheet:
    # importlib, because the optional extra is not installed for the type checker either.
    try:
        gspread = importlib.import_module("gspread")
        google_auth = importlib.import_module("google.auth")
    except ImportError as error:
        raise MissingExtraError(
            "writing to a Google Sheet needs gspread, which is not installed",
            do=f"run `{install_command('sheets')}`, or write a .csv file instead",
        ) from error
    try:
        credentials, _ = google_auth.default(scopes=SCOPES)
    except google_auth.exceptions.DefaultCredentialsError as error:
        raise SheetError(
            f"no Google credentials: {error} What to do: set GOOGLE_APPLICATION_CREDENTIALS to the key file of a "
            f"service account, or run `gcloud auth application-default login`"
        ) from error
    try:
        sheet = gspread.authorize(credentials).open_by_key(target.key)
        if target.gid is not None:
            return sheet.get_worksheet_by_id(target.gid)
        if target.tab is None:
            return sheet.get_worksheet(0)
        return _tab(sheet, target.tab)
    except (gspread.exceptions.GSpreadException, PermissionError) as error:
        account = getattr(credentials, "service_account_email", "the account of the credentials")
        raise SheetError(
            f"Google Sheet {target.key} cannot be opened: {error or 'permission denied'}. What to do: check the key "
            f"and share the sheet with {account} as an editor"
        ) from error


def _tab(sheet: Any, title: str) -> Worksheet:
    """A tab of a sheet by its title; added if it does not exist."""
    found = {each.title: each for each in sheet.worksheets()}
    return found[title] if title in found else sheet.add_worksheet(title, rows=1, cols=1)


def _to_cell_values(df: pd.DataFrame) -> pd.DataFrame:
    from pandas.api.types import is_datetime64_any_dtype, is_object_dtype

    def as_text(column: pd.Series) -> pd.Series:
        if is_datetime64_any_dtype(column.dtype):
            timestamps = column.dropna()
            only_dates = (timestamps == timestamps.dt.normalize()).all() and timestamps.dt.tz is None
            return column.astype(object).map(
                lambda timestamp: _iso(timestamp.date() if only_dates else timestamp), na_action="ignore"
            )
        return column.map(_as_text, na_action="ignore") if is_object_dtype(column.dtype) else column

    return df.apply(as_text)


def _iso(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value  # datetime is a subclass of date


def _as_text(value: Any) -> Any:
    """A date as ISO text, a list or record as JSON; any other value unchanged."""
    import numpy as np

    if isinstance(value, list | tuple | dict | np.ndarray):
        return json.dumps(value, ensure_ascii=False, default=_json_default)
    return _iso(value)


def _json_default(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else _iso(value)  # numpy arrays and numbers


def _cell(value: Any) -> Any:
    import pandas as pd

    if value is None or pd.isna(value):
        return ""
    if isinstance(value, float) and math.isinf(value):
        return str(value)  # JSON has no infinity
    return value
