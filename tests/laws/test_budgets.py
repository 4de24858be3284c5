"""Budgets of functions and settings: lines, complexity, parameters, fields."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("physio", "devices", "experiments", "benchmarks")

LINES = 60  # of code: without docstring, comments and blank lines
COMPLEXITY = 20
PARAMETERS = 8
FIELDS = 14
MEDIAN = 8

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
_BRANCHES = (
    *(ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.comprehension),
    *(ast.ExceptHandler, ast.match_case),
)


def trees(package: str) -> Iterator[tuple[str, str, ast.Module]]:
    """Yield the name, the text and the syntax tree of each module of a package."""
    for path in sorted((ROOT / package).rglob("*.py")):
        text = path.read_text("utf-8")
        yield str(path.relative_to(ROOT)), text, ast.parse(text)


def functions(package: str) -> Iterator[tuple[str, str, ast.AST]]:
    """Yield the place, the text of the module and the node of each function."""
    for name, text, tree in trees(package):
        for node in ast.walk(tree):
            if isinstance(node, _FUNCTIONS):
                yield f"{name}:{node.lineno} {node.name}", text, node


def code_lines(text: str, node: ast.AST) -> int:
    """Return the lines of code of a function, its signature included."""
    lines = text.splitlines()
    numbers = set(range(node.lineno, node.end_lineno + 1))  # type: ignore[attr-defined]
    if ast.get_docstring(node) is not None:  # type: ignore[arg-type]
        docstring = node.body[0]  # type: ignore[attr-defined]
        numbers -= set(range(docstring.lineno, docstring.end_lineno + 1))
    stripped = (lines[n - 1].strip() for n in numbers)
    return sum(bool(line) and not line.startswith("#") for line in stripped)


def complexity(node: ast.AST) -> int:
    """Return McCabe's complexity of a function, nested functions not counted."""
    total, inner = 1, list(ast.iter_child_nodes(node))
    while inner:
        child = inner.pop()
        if isinstance(child, _FUNCTIONS | ast.Lambda | ast.ClassDef):
            continue
        total += isinstance(child, _BRANCHES)
        inner += ast.iter_child_nodes(child)
    return total


def reasoned(node: ast.AST, subject: str) -> bool:
    """Return True if a docstring has a reason for many parameters or fields."""
    text = ast.get_docstring(node) or ""  # type: ignore[arg-type]
    reason = rf"\b{subject}\b[^.]*\bbecause\b|\bhence\b[^.]*\b{subject}\b"
    return bool(re.search(reason, text))


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_are_short(package: str) -> None:
    lines = {place: code_lines(text, node) for place, text, node in functions(package)}
    assert {p: n for p, n in lines.items() if n > LINES} == {}


def test_most_functions_are_very_short() -> None:
    for package in ("physio", "devices"):
        lines = [code_lines(text, node) for _, text, node in functions(package)]
        assert statistics.median(lines) <= MEDIAN


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_are_simple(package: str) -> None:
    nodes = {place: complexity(node) for place, _, node in functions(package)}
    assert {p: n for p, n in nodes.items() if n > COMPLEXITY} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_have_few_parameters(package: str) -> None:
    """More have a reason; that of the commands stands in `physio.cli`."""
    many = {}
    for place, _, node in functions(package):
        arguments = node.args  # type: ignore[attr-defined]
        names = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        count = sum(a.arg not in ("self", "cls") for a in names)
        command = place.startswith("physio/cli/")
        if count > PARAMETERS and not command and not reasoned(node, "parameters"):
            many[place] = count
    assert many == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_settings_have_few_fields(package: str) -> None:
    many = {}
    for name, _, tree in trees(package):
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            if not any("dataclass" in ast.unparse(d) for d in node.decorator_list):
                continue
            count = sum(
                isinstance(n, ast.AnnAssign)
                and "ClassVar" not in ast.unparse(n.annotation)
                for n in node.body
            )
            if count > FIELDS and not reasoned(node, "fields"):
                many[f"{name}:{node.lineno} {node.name}"] = count
    assert many == {}


def test_the_budgets_count_what_they_should() -> None:
    text = '''
def f(x):
    """Docstring.

    More.
    """
    # a comment

    if x and x > 1:
        return [y for y in x]
    return None
'''
    node = ast.parse(text).body[0]
    assert code_lines(text, node) == 4
    assert complexity(node) == 3
    assert not reasoned(node, "parameters")
    many = ast.parse(
        'def f():\n    """Parameters\n    are parameters because."""'
    ).body[0]
    assert reasoned(many, "parameters")
