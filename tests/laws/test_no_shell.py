"""No text becomes a program: no shell, no evaluated text, no pickled objects."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("physio", "devices", "experiments", "benchmarks")
CALLS = frozenset((
    "os.system", "os.popen", "os.spawnl", "os.spawnv", "subprocess.getoutput",
    "subprocess.getstatusoutput", "commands.getoutput", "pty.spawn", "eval", "exec",
    "compile", "__import__", "pickle.load", "pickle.loads", "pickle.Unpickler",
    "marshal.load", "marshal.loads", "shelve.open", "joblib.load", "yaml.load",
    "torch.load", "pd.read_pickle", "pandas.read_pickle", "tempfile.mktemp",
    "asyncio.create_subprocess_shell", "code.interact",
))  # fmt: skip
ALLOWED = frozenset(("physio/testing/stage_laws.py eval",))
"""The law that a stage's representation evaluates to the stage, of one's own stage."""

KEYWORDS = {"shell": True, "allow_pickle": True, "weights_only": False}


def dangers(source: str) -> Iterator[str]:
    """Yield what runs a shell, evaluates text or loads objects, with its line."""
    tree = ast.parse(source)
    renamed: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            renamed |= {a.asname or a.name: a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                renamed[name.asname or name.name] = f"{node.module}.{name.name}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        first, dot, rest = ast.unparse(node.func).partition(".")
        called = f"{renamed.get(first, first)}{dot}{rest}"
        if called in CALLS:
            yield f"{node.lineno}: {called}"
        for keyword in node.keywords:
            value = getattr(keyword.value, "value", None)
            if keyword.arg in KEYWORDS and value is KEYWORDS[keyword.arg]:
                yield f"{node.lineno}: {keyword.arg}={value}"


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.system('x')", "from os import system as s\ns('x')",
        "import subprocess as p\np.run('x', shell=True)", "eval('1')",
        "import pickle\npickle.loads(b'')", "from pickle import loads\nloads(b'')",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
    ],
)  # fmt: skip
def test_a_danger_is_detected(text: str) -> None:
    assert len(list(dangers(text))) == 1


@pytest.mark.parametrize("package", PACKAGES)
def test_no_text_becomes_a_program(package: str) -> None:
    paths = sorted((ROOT / package).rglob("*.py"))
    assert paths
    found = [
        f"{path.relative_to(ROOT)} {danger}"
        for path in paths
        for danger in dangers(path.read_text("utf-8"))
    ]
    assert [one for one in found if re.sub(r" \d+:", "", one) not in ALLOWED] == []


def test_no_file_names_a_shell() -> None:
    """Programs that are started are this Python, by a list of arguments."""
    started = []
    for package in ("physio", "devices"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                name = ast.unparse(node.func)
                if name in ("subprocess.Popen", "subprocess.run", "subprocess.call"):
                    started.append((path, ast.unparse(node.args[0])))
    assert started
    for path, arguments in started:
        match = re.match(r"\[\*(\w+)", arguments)
        name = match[1] if match else arguments
        tree = ast.parse(path.read_text("utf-8"))
        values = [
            ast.unparse(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            if name in (ast.unparse(t) for t in targets(node))
        ]
        for text in values or [arguments]:
            assert text.startswith(("[sys.executable,", "(sys.executable,")), path


def targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]
