"""The pages that are shipped, and the code and command lines in them."""

from __future__ import annotations

import re
from pathlib import Path

PROJECT = Path(__file__).parents[3]
PAGES = sorted([PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").glob("*.md")])

_COMMAND = re.compile(
    r"(?:BRIDGE_ASSETS_\w+=\S+ )*((?:make|pip|bridge-assets(?= )|python[\d.]*|\.venv/bin/[\w-]+(?= ))(?: .*)?)"
)


def code_of(page: Path) -> list[str]:
    """Every piece of code in a page: between backticks, and the lines of code blocks."""
    text = page.read_text(encoding="utf-8")
    fence = re.compile(r"^ *```.*?\n(.*?)^ *```", flags=re.DOTALL | re.MULTILINE)
    inline = re.findall(r"`([^`]+)`", fence.sub("", text))
    return [*inline, *(line for block in fence.findall(text) for line in block.splitlines())]


def command_lines(page: Path) -> list[str]:
    """Command lines without variables in front and comments behind; `[--to VERSION]` counts as given."""
    found = []
    for code in code_of(page):
        line = re.sub(r"\s{2,}#.*| # .*", "", " ".join(code.split()) if "\n" in code else code.strip()).strip()
        if match := _COMMAND.fullmatch(line):
            found.append(re.sub(r"(?<= )\[(--[^\]]*)\]", r"\1", match[1]))
    return found
