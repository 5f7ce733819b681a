"""Untrusted text stays text wherever it is shown as Markdown."""

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from bridge_assets.markdown import Markup, code, escape, for_terminal, is_web_address, link, table

HOSTILE = [
    "a | b",
    "|",
    "`rm -rf`",
    "``",
    "<script>alert(1)</script>",
    "<b>bold</b> & <img src=x onerror=y>",
    "&lt; &#124; &amp;",
    "[click](http://evil.example)",
    "![picture](http://evil.example/x.png)",
    "<http://evil.example>",
    "[a]: http://evil.example",
    "**bold** *em* _em_ __strong__ ~~gone~~",
    "a__b __init__ x_ _y deck_area_m2",
    "\\| \\` \\& C:\\data\\",
    'it\'s "quoted" #1 - 2. 3) + 4',
]


class _Cells(HTMLParser):
    """Text of every body cell, and every tag seen inside one."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if self._inside:
            self.tags.append(tag)
        if tag == "td":
            self._inside = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.cells[-1] += data


def rendered(markdown: str) -> _Cells:
    cells = _Cells()
    cells.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))
    return cells


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_cell_shows_its_own_text_and_nothing_else(text):
    page = rendered(table(["name", "state"], [[text, "01"]]))
    assert page.cells == [text, "01"]
    assert page.tags == []


@pytest.mark.parametrize("text", ["two\nlines", "two\r\nlines", "two \t lines", "two\u2028lines", " two lines\n\n"])
def test_text_stays_on_one_line(text):
    assert escape(text) == "two lines"
    assert rendered(table(["name"], [[text]])).cells == ["two lines"]


def test_a_long_cell_is_cut_before_it_is_escaped():
    assert escape("|" * 50, max_length=3) == "&#124;&#124;…"
    assert escape("a" * 40, max_length=40) == "a" * 40
    assert rendered(table(["name"], [["<" * 1000]], max_length=40)).cells == ["<" * 39 + "…"]


def test_an_underscore_inside_a_word_stays_legible():
    assert escape("deck_area_m2") == "deck_area_m2"


def test_none_is_an_empty_cell():
    assert table(["a", "b"], [[None, 0]]) == "| a | b |\n|---|---|\n|  | 0 |"


def test_columns_are_aligned():
    assert table(["a", "b", "c", "d"], [], align="lrc") == "| a | b | c | d |\n|---|---:|:---:|---|"


def test_markup_is_written_unchanged():
    assert table(["a"], [[Markup("**5**")]]) == "| a |\n|---|\n| **5** |"
    assert escape(escape("a | b")) == escape("a | b")


def test_a_heading_is_escaped_too():
    assert table(["a | b"], []) == "| a &#124; b |\n|---|"


@pytest.mark.parametrize(("rows", "align"), [([["one"]], ""), ([["1", "2", "3"]], ""), ([], "lll")])
def test_cells_that_do_not_fit_the_header_are_an_error(rows, align):
    with pytest.raises(ValueError, match=r"a row has \d cells but the header has 2|has 3 letters for 2 columns"):
        table(["a", "b"], rows, align)


def test_code_is_code_unless_it_would_end_the_cell():
    assert code("flags") == "`flags`"
    page = rendered(table(["a", "b", "c"], [[code("a`b"), code("a|b"), code("a\\")]]))
    assert page.cells == ["a`b", "a|b", "a\\"]
    assert page.tags == []


def test_only_a_web_address_becomes_a_link():
    assert link("a_b[1]", "https://a.example/b.zip") == "[a_b&#91;1&#93;](https://a.example/b.zip)"
    for address in (
        "",
        "javascript:alert(1)",
        "s3://bucket/key",
        "https://a b",
        "https://a)b",
        "https://a|b",
        "https://a\nb",
    ):
        assert not is_web_address(address)
        assert link("<x>", address) == "&#60;x&#62;"


def test_a_table_is_aligned_for_a_terminal() -> None:
    aligned = table(["model", "AUC", "x"], [["a|b_", "0.5", ""], ["no_change", "10.25", "y"]], align="lrc")
    text = f"Heading\n\n{aligned}\n\nEnd &#124;"
    assert for_terminal(text).split("\n") == [
        "Heading",
        "",
        "| model     |   AUC | x   |",
        "| --------- | ----: | :-: |",
        "| a|b_      |   0.5 |     |",
        "| no_change | 10.25 | y   |",
        "",
        "End |",
    ]
