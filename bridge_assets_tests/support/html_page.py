"""Parses an HTML page as a browser does."""

from __future__ import annotations

from html.parser import HTMLParser

VOID_ELEMENTS = {"meta", "br"}


class Page(HTMLParser):
    """A parsed page: elements, ids, addresses, text, and whether every element is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag in ("div", "dd", "br"):
            self.handle_data(" ")  # a browser begins a new line

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    @property
    def plain_text(self) -> str:
        return " ".join(self.text.split())

    def row(self, first: str) -> list[str]:
        return next(
            row for cells in self.rows if (row := [" ".join(cell.split()) for cell in cells])[0].startswith(first)
        )
