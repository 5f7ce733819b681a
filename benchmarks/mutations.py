"""Small changes to a source text that a test should notice: `of_python` and `of_sql`.

A mutant replaces one span of the text and leaves everything else unchanged, so that line numbers and diffs match the
file. Docstrings, annotations, decorators, `__all__`, f-strings, log messages and the messages of a `raise` are never
mutated: changing them changes no result.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Mutant:
    """One change to a text: bytes `start` to `end` of its UTF-8 become `new`.

    `name` is the change in words, such as `< -> <=`; `line` (from 1) is where it begins, `before` and `after` are that
    line, stripped, without and with the change.
    """

    start: int
    end: int
    new: str
    name: str
    line: int
    before: str
    after: str

    def apply(self, text: str) -> str:
        data = text.encode()
        return (data[: self.start] + self.new.encode() + data[self.end :]).decode()


def _mutant(data: bytes, start: int, end: int, new: str, name: str) -> Mutant:
    changed = data[:start] + new.encode() + data[end:]
    begin = data.rfind(b"\n", 0, start) + 1
    before, after = (text[begin:].split(b"\n", 1)[0].decode().strip() for text in (data, changed))
    return Mutant(start, end, new, name, data.count(b"\n", 0, start) + 1, before, after)


_SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "and": "or", "or": "and"}
_SWAPS |= {"is": "is not", "is not": "is", "in": "not in", "not in": "in", "&": "|", "|": "&"}
_SWAPS |= {"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "//"}
_OPERATOR = re.compile(rb"\b(?:not\s+in|is\s+not|in|is|and|or)\b|\*\*|//|<<|>>|[<>=!]=|[-+*/%&|<>^@]")
_LOGGERS = {"log", "logger", "logging", "warnings"}


def of_python(text: str) -> list[Mutant]:
    """Every mutant of a Python module, in the order of the text."""
    sites = _Sites(text)
    sites.visit(ast.parse(text))
    return sorted(sites.mutants, key=_place)


def _place(mutant: Mutant) -> tuple[int, int, str]:
    return mutant.start, mutant.end, mutant.new


class _Sites(ast.NodeVisitor):
    def __init__(self, text: str) -> None:
        self.data = text.encode()
        self.starts = [0] + [match.end() for match in re.finditer(b"\n", self.data)]
        self.mutants: list[Mutant] = []

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end_line, end_column = node.end_lineno, node.end_col_offset
        assert end_line is not None and end_column is not None
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[end_line - 1] + end_column

    def replace(self, node: ast.expr | ast.stmt, new: str, name: str) -> None:
        self.mutants.append(_mutant(self.data, *self.span(node), new, name))

    def swap(self, left: ast.expr, right: ast.expr) -> None:
        """Exchange the operator between two operands; otherwise there are only brackets, blanks and comments."""
        begin, end = self.span(left)[1], self.span(right)[0]
        gap = re.sub(rb"#[^\n]*", lambda match: b" " * len(match[0]), self.data[begin:end])
        if found := _OPERATOR.search(gap):
            old = " ".join(found[0].decode().split())
            if new := _SWAPS.get(old):
                name = f"{old} -> {new}".replace("&", "bit-and").replace("|", "bit-or")
                self.mutants.append(_mutant(self.data, begin + found.start(), begin + found.end(), new, name))

    def visit_all(self, *nodes: ast.AST | None) -> None:
        for node in filter(None, nodes):
            self.visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self.visit_all(*node.args.defaults, *node.args.kw_defaults, *node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all(*node.body)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit_all(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets):
            return
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self.replace(node, "pass", "statement removed")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.replace(node, "pass", "statement removed")
        self.swap(node.target, node.value)
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant) or _logs(node.value):
            return
        if not isinstance(node.value, ast.Yield | ast.YieldFrom):
            self.replace(node, "pass", "statement removed")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self.replace(node, "pass", "raise removed")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None: ...

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return
        self.replace(node.test, "False", "branch removed")
        self.visit(node.test)
        if not (isinstance(node.body[0], ast.Raise) and not node.orelse):  # without the raise = without the branch
            self.visit_all(*node.body, *node.orelse)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.replace(node.test, "False", "branch removed")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        if not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, bool | None)):
            self.replace(node.value, "None", "return None")
        self.visit(node.value)

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, right in pairwise(operands):
            self.swap(left, right)
        for operand in operands:
            parts = operand.elts if isinstance(operand, ast.Tuple | ast.List | ast.Set) else [operand]
            for part in parts:
                if _is_text(part):
                    self.replace(part, repr("XX" + ast.literal_eval(part)), "other string")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        for left, right in pairwise(node.values):
            self.swap(left, right)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.Invert):
            operand = self.data[slice(*self.span(node))].decode()
            self.replace(node, re.sub(r"^(not\b|~)\s*", "", operand), "negation removed")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        texts = (ast.JoinedStr, ast.List, ast.Tuple)  # `-` and `*` on these raise an error in any test
        if not any(isinstance(side, texts) or _is_text(side) for side in (node.left, node.right)):
            self.swap(node.left, node.right)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _logs(node):
            return
        self.visit_all(node.func, *node.args)
        if ast.unparse(node.func) != "zip":  # its `strict` only guards against programming errors
            self.visit_all(*node.keywords)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self.replace(node, str(not node.value), f"{node.value} -> {not node.value}")
        elif isinstance(node.value, int):
            for other in (node.value + 1, node.value - 1):
                self.replace(node, str(other) if other >= 0 else f"({other})", f"{node.value} -> {other}")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _logs(node: ast.expr) -> bool:
    found = isinstance(node, ast.Call) and re.search(r"(\w+)\.\w+$", ast.unparse(node.func))
    return bool(found) and found[1].strip("_").lower() in _LOGGERS


# --- SQL --------------------------------------------------------------------------------------------------------------

_SQL_COMPARISONS = {"<": ("<=",), "<=": ("<",), ">": (">=", "<>"), ">=": (">",), "=": ("<>", "<="), "<>": ("=",)}
_ENDS_CONDITION = re.compile(r"\b(and|or|then|else|end|as|from|group by|order by|window|left join|join)\b|[,)]")
#: Pattern (its group is replaced), the replacement, and the name of the change.
_SQL_CHANGES = (
    (r"\b(or)\b", "and", "or -> and"),
    (r"( filter \(where \w+\))", "", "filter removed"),
    (r"\b(is not null)\b", "is null", "null test negated"),
    (r"\b(is null)\b", "is not null", "null test negated"),
    (r"\bwhen\b(.*?)\bthen\b", " false ", "branch removed"),
    (r"\bcoalesce\((\w+, )", "", "first value removed"),
    (r"\b(min)\(", "max", "min -> max"),
    (r"\b(max)\(", "min", "max -> min"),
)


def of_sql(text: str) -> list[Mutant]:
    """Every mutant of a dbt model, in the order of the text; comments and Jinja are left alone."""
    data = text.encode("ascii")  # offsets of characters are offsets of bytes
    code = re.sub(r"--[^\n]*|\{\{.*?\}\}|\{%.*?%\}", lambda found: " " * len(found[0]), text, flags=re.DOTALL)
    return sorted((_mutant(data, *change) for change in _sql_changes(code)), key=_place)


def _sql_changes(code: str) -> Iterator[tuple[int, int, str, str]]:
    bare = re.sub(r"'[^'\n]*'", lambda found: "'" * len(found[0]), code)  # nothing in a string is an operator
    for pattern, new, name in _SQL_CHANGES:
        for found in re.finditer(pattern, bare, re.DOTALL):
            yield *found.span(1), new, name
    for found in re.finditer(r"<=|>=|<>|<|>|=", bare):
        for new in _SQL_COMPARISONS[found[0]]:
            yield *found.span(), new, f"{found[0]} -> {new}"
    for found in re.finditer(r"\s+and\s+(?!current row)", bare):
        yield found.start(), _until(bare, found.end(), _ENDS_CONDITION), " ", "condition removed"
    for found in re.finditer(r"partition by ", bare):
        yield found.start(), _until(bare, found.end(), re.compile(r"order by|\)")), "", "partition by removed"
    for found in re.finditer(r"(?:=|<>)\s*'([^']*)'", code):
        yield *found.span(1), f"XX{found[1]}", "other string"
    for found in re.finditer(r"\b\d+\b", bare):
        for other in (int(found[0]) + 1, int(found[0]) - 1):
            yield *found.span(), str(other), f"{found[0]} -> {other}"


def _until(bare: str, start: int, ends: re.Pattern[str]) -> int:
    depth = 0  # an end within brackets belongs to another expression
    for position in range(start, len(bare)):
        if depth == 0 and ends.match(bare, position):
            return start + len(bare[start:position].rstrip())
        depth += {"(": 1, ")": -1}.get(bare[position], 0)
    return len(bare)


MUTATIONS: dict[str, Callable[[str], list[Mutant]]] = {".py": of_python, ".sql": of_sql}
