"""Writes Markdown: `escape` for text of unknown origin, `table` for every table of the UI, the CLI and the docs.

Bridge names, file names and error messages are untrusted text: nothing in them may become a link, an image, HTML or a
second column. Everything the platform shows as Markdown is written with these functions.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from itertools import groupby

_SPECIAL = re.compile(r"[&<>|`\[\]*~\\]|_+")

_ALIGNMENTS = {"l": "---", "r": "---:", "c": ":---:"}


class Markup(str):
    """Text that is already Markdown; `table` writes it unchanged."""

    __slots__ = ()


def escape(text: object, max_length: int | None = None) -> Markup:
    """Text as one line of Markdown that shows exactly that text.

    An underscore inside a word is not escaped, because Markdown does not read it as emphasis: `deck_area_m2` stays
    legible where the Markdown source is printed. A bare web address may still become a link to itself.

    Parameters
    ----------
    text : object
        Its `str` is written; None becomes empty text. Any run of white space, including line ends, becomes one space.
    max_length : int, optional
        Longer text is cut to this many characters, the last of which is an ellipsis.
    """
    if isinstance(text, Markup):
        return text
    plain = "" if text is None else " ".join(str(text).split())
    if max_length is not None and len(plain) > max_length:
        plain = plain[: max_length - 1] + "…"
    return Markup(_SPECIAL.sub(_entities, plain))


def code(text: str) -> Markup:
    """Text as inline code; text that would break out of the code span or the table cell is escaped instead."""
    plain = " ".join(text.split())
    return Markup(f"`{plain}`") if plain and not set(plain) & set("`|\\") else escape(plain)


def link(text: str, address: str) -> Markup:
    """A link to a web address; for any other address, the escaped text."""
    return Markup(f"[{escape(text)}]({address})") if is_web_address(address) else escape(text)


def is_web_address(address: str) -> bool:
    """Whether an address can be linked: http or https, with nothing in it that would end the link."""
    return address.startswith(("http://", "https://")) and not re.search(r"[\s|()<>\\]", address)


def table(
    header: Sequence[object], rows: Iterable[Sequence[object]], align: str = "", max_length: int | None = None
) -> str:
    """A Markdown table.

    Parameters
    ----------
    header : sequence
        Column headings.
    rows : iterable of sequence
        One cell per heading in each row. Cells are escaped, except `Markup`.
    align : str
        One letter per column: `l`, `r` or `c`. Columns without a letter are left-aligned.
    max_length : int, optional
        Maximum length of a cell, in characters; see `escape`.

    Raises
    ------
    ValueError
        If a row has more or fewer cells than the header, or `align` has more letters.
    """
    if len(align) > len(header):
        raise ValueError(f"align={align!r} has {len(align)} letters for {len(header)} columns")
    delimiters = [_ALIGNMENTS[letter] for letter in align.ljust(len(header), "l")]
    lines = [_row([escape(heading) for heading in header]), f"|{'|'.join(delimiters)}|"]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row has {len(row)} cells but the header has {len(header)}: {row!r:.200}")
        lines.append(_row([escape(cell, max_length) for cell in row]))
    return "\n".join(lines)


def for_terminal(markdown: str) -> str:
    """Markdown with the columns of its tables aligned and characters unescaped, to be read as plain text.

    Parameters
    ----------
    markdown : str
        Text with tables as `table` writes them. Lines that are not part of a table stay as they are.
    """
    lines: list[str] = []
    for is_table, group in groupby(markdown.split("\n"), key=lambda line: line.startswith("|")):
        block = list(group)
        lines += _aligned(block) if is_table else map(html.unescape, block)
    return "\n".join(lines)


def _aligned(lines: list[str]) -> list[str]:
    rows = [[html.unescape(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    header, delimiters, *body = rows
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(header, *body, strict=True)]
    signs = [
        f":{'-' * (width - 2)}:"
        if sign.startswith(":")
        else f"{'-' * (width - 1)}:"
        if sign.endswith(":")
        else "-" * width
        for sign, width in zip(delimiters, widths, strict=True)
    ]
    padded = [
        [
            cell.rjust(width) if sign.endswith(":") and not sign.startswith(":") else cell.ljust(width)
            for cell, sign, width in zip(row, signs, widths, strict=True)
        ]
        for row in (header, *body)
    ]
    return [_row(padded[0]), _row(signs), *map(_row, padded[1:])]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _entities(match: re.Match[str]) -> str:
    found, (start, end) = match.group(), match.span()
    if found[0] == "_" and match.string[start - 1 : start].isalnum() and match.string[end : end + 1].isalnum():
        return found
    return "".join(f"&#{ord(character)};" for character in found)
