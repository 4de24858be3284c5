"""Docstrings begin in the field's words; a stage states units, source and delay."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import NumpyDocString

from physio.core.block import StreamInfo
from physio.core.stage import Chain, Fork, MaskBadSamples, Stage
from test_stages import CASES, classes

ROOT = Path(__file__).parents[2]
QUESTIONS = re.compile("(What|How|Whether|Who|Whom|Whose|Which|Where|Why|When)\\b")
STAGES = [c for c in classes() if c not in (Chain, Fork, MaskBadSamples)]


PACKAGES = ["physio", "devices", "experiments", "benchmarks"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_docstring_begins_with_a_question_word(package: str) -> None:
    """The first line is a noun phrase or an imperative, also below a constant."""
    vague = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                text = node.value.value
                if isinstance(text, str) and QUESTIONS.match(text.lstrip()):
                    first = text.strip().splitlines()[0]
                    vague.append(f"{path.relative_to(ROOT)}:{node.lineno}: {first}")
    assert not vague, "\n".join(vague)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_documented_parameter_exists(package: str) -> None:
    """A renamed parameter is renamed in its description too."""
    stale = []
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                unknown = documented(node) - parameters(node)
                where = f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
                stale += [f"{where}: {name}" for name in sorted(unknown)]
    assert not stale, "\n".join(stale)


def documented(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Return the parameters that a docstring describes."""
    text = NumpyDocString(ast.get_docstring(node) or "")
    names = [p.name or p.type for p in text["Parameters"]]
    return {part.strip().lstrip("*") for name in names for part in name.split(",")}


def parameters(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    """Return the parameters of a function, or the fields of a class."""
    if isinstance(node, ast.FunctionDef):
        a = node.args
        rest = [x for x in (a.vararg, a.kwarg) if x]
        return {x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs, *rest)}
    names = {
        x.target.id
        for x in node.body
        if isinstance(x, ast.AnnAssign) and isinstance(x.target, ast.Name)
    }
    inits = [
        x for x in node.body if isinstance(x, ast.FunctionDef) and x.name == "__init__"
    ]
    return names.union(*(parameters(x) for x in inits))


@pytest.mark.parametrize("cls", STAGES, ids=lambda c: c.__name__)
def test_a_stage_describes_its_settings(cls: type) -> None:
    text = inspect.getdoc(cls) or ""
    settings = getattr(cls, "__dataclass_fields__", {})
    for name in settings:
        assert name in text, f"{cls.__name__} does not say what {name!r} is"
    assert len(text.splitlines()[0]) > 20
    assert text.splitlines()[0].endswith(".")


# Aspects that every stage of the chain must document, with their patterns.
ASPECTS = {
    "formula": r"=|\bsum\b|\bmean\b|\bmedian\b|log2|correlation|interval",
    "unit": r"\bunit\b|\((1|uV|uS|uS/s|ms|s|Hz|g|deg|degC|bit|1/min)\)|\buV\b|\buS\b",
    "shape": r"Shape \(n, .+\) to \([nm], .+\)",
    "reference": r"References\n-+\n|`scipy\.|`numpy\.|\bours\b|source is",
    "deviations": r"[Dd]eviat|\bours\b",
    "delay": r"\bdelay",
}
CHAIN = [
    c for c in STAGES if c.__module__.startswith(("physio.dsp.", "physio.features."))
]


@pytest.mark.parametrize("aspect", ASPECTS)
@pytest.mark.parametrize("cls", CHAIN, ids=lambda c: c.__name__)
def test_a_stage_of_the_chain_is_documented(cls: type, aspect: str) -> None:
    text = " ".join((inspect.getdoc(cls) or "").split(" "))
    flat = re.sub(r"\s*\n\s*(?![-\n])", " ", text) if aspect == "shape" else text
    assert re.search(ASPECTS[aspect], flat), f"{cls.__name__} tells no {aspect}"
    assert "Notes\n-----" in text, f"{cls.__name__} has no notes"


@pytest.mark.parametrize(("stage", "info"), CASES, ids=lambda v: getattr(v, "name", ""))
def test_the_number_of_columns_is_the_documented_one(
    stage: Stage, info: StreamInfo
) -> None:
    """If the docstring gives a plain number of columns, the output has that many."""
    text = re.sub(r"\s+", " ", inspect.getdoc(type(stage)) or "")
    shape = re.search(r"Shape \(n, .+?\) to \([nm], ([0-9]+)\)", text)
    if shape:
        assert len(stage.output_info(info).channels) == int(shape[1])
