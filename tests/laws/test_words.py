"""Every stage documents its settings, units, source and delay."""

import inspect
import re

import pytest
from test_stages import CASES, classes

from physio.core.block import StreamInfo
from physio.core.stage import Chain, Fork, MaskBadSamples, Stage

STAGES = [c for c in classes() if c not in (Chain, Fork, MaskBadSamples)]


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
