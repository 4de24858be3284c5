"""Names follow the vocabulary of the field: no vague words, one meaning a name."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("physio", "devices", "experiments", "benchmarks")
LIBRARY = ("physio", "devices")

FORBIDDEN = {
    *("told", "said", "own", "seen", "heard", "made", "found", "kept", "left", "one"),
    *("each", "here", "what", "how"),
}
"""Words that do not tell what an object is, also as parts of identifiers."""

SHARED_STEMS = {
    "__init__": "the package itself",
    "__main__": "the entry point of a package",
    "base": "the base class of a folder",
    "bids": "the Brain Imaging Data Structure, read and written",
    "channel_status": "the status of channels, computed and stored",
    "commands": "commands of a session, and their parsing in the dashboard",
    "config": "configuration, of objects and of a run",
    "evaluate": "an evaluation, and the command that runs it",
    "extract": "the extraction of features, and the command that runs it",
    "gaussian": "the Gaussian model, and its fit",
    "messages": "the messages of a device",
    "participant": "a participant, simulated and shown",
    "rbtransformer": "the network, and its training",
    "results": "results of an evaluation, and their plot",
    "session": "a session, its plot and its report",
    "signals": "plots of signals",
    "wristband": "a wristband, simulated, and the quality of its signals",
}
"""Module stems that may stand for several modules, and the meaning they share."""

_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def modules(*folders: str) -> list[Path]:
    """Return the modules of some packages."""
    return [p for f in folders for p in sorted((ROOT / f).rglob("*.py"))]


def words(name: str) -> set[str]:
    """Return the parts of an identifier in snake or camel case, in lower case."""
    snake = re.sub(r"([A-Z])", lambda m: f"_{m[1].lower()}", name)
    return set(re.findall(r"[a-z]+", snake))


def defined(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the identifiers that a module defines, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | _FUNCTIONS):
            yield node.name, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
        elif isinstance(node, ast.alias) and node.asname:
            yield node.asname, node.lineno
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs) and node.name:
            yield node.name, node.lineno


@pytest.mark.parametrize("package", PACKAGES)
def test_no_identifier_has_a_forbidden_word(package: str) -> None:
    vague = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in modules(package)
        for name, line in sorted(set(defined(ast.parse(path.read_text("utf-8")))))
        if words(name) & FORBIDDEN
    ]
    assert not vague, "use the noun of the object:\n" + "\n".join(vague)


def test_a_public_class_name_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in modules(*LIBRARY):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    several = {name: files for name, files in places.items() if len(files) > 1}
    assert not several, f"class names with several meanings: {several}"


def test_a_module_stem_has_one_meaning() -> None:
    places = defaultdict(list)
    for path in modules(*LIBRARY):
        if path.stem not in SHARED_STEMS:
            places[path.stem].append(str(path.relative_to(ROOT)))
    several = {stem: files for stem, files in places.items() if len(files) > 1}
    assert not several, f"module stems with several meanings: {several}"


def test_the_law_finds_parts_of_names() -> None:
    assert words("_toldLess") == {"told", "less"}
    assert words("found_rows") & FORBIDDEN
    assert not words("owner") & FORBIDDEN
    tree = ast.parse("def f(what): seen = 1\nfor one in x: pass\nimport a as heard")
    assert {name for name, _ in defined(tree)} == {"f", "what", "seen", "one", "heard"}
