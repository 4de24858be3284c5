"""Every stage says what it is, where it is from and how late it is."""

import inspect
import re

import pytest
from test_stages import CASES, classes

from physio.core.block import StreamInfo
from physio.core.stage import Chain, Fork, MaskBadSamples, Stage

_OWN = [c for c in classes() if c not in (Chain, Fork, MaskBadSamples)]


@pytest.mark.parametrize("cls", _OWN, ids=lambda c: c.__name__)
def test_a_stage_tells_its_settings_and_its_units(cls: type) -> None:
    text = inspect.getdoc(cls) or ""
    settings = getattr(cls, "__dataclass_fields__", {})
    for name in settings:
        assert name in text, f"{cls.__name__} does not say what {name!r} is"
    assert len(text.splitlines()[0]) > 20
    assert text.splitlines()[0].endswith(".")


# What every stage of the chain says of itself, and how that is recognised.
SAID = {
    "formula": r"=|\bsum\b|\bmean\b|\bmedian\b|log2|correlation|interval",
    "unit": r"\bunit\b|\((1|uV|uS|uS/s|ms|s|Hz|g|deg|degC|bit|1/min)\)|\buV\b|\buS\b",
    "shape": r"Shape \(n, .+\) to \([nm], .+\)",
    "reference": r"References\n-+\n|`scipy\.|`numpy\.|\bours\b|source is",
    "deviations": r"[Dd]eviat|\bours\b",
    "delay": r"\bdelay",
}
CHAIN = [
    c for c in _OWN if c.__module__.startswith(("physio.dsp.", "physio.features."))
]


@pytest.mark.parametrize("aspect", SAID)
@pytest.mark.parametrize("cls", CHAIN, ids=lambda c: c.__name__)
def test_a_stage_of_the_chain_says_what_it_computes(cls: type, aspect: str) -> None:
    text = " ".join((inspect.getdoc(cls) or "").split(" "))
    flat = re.sub(r"\s*\n\s*(?![-\n])", " ", text) if aspect == "shape" else text
    assert re.search(SAID[aspect], flat), f"{cls.__name__} tells no {aspect}"
    assert "Notes\n-----" in text, f"{cls.__name__} has no notes"


@pytest.mark.parametrize(("stage", "info"), CASES, ids=lambda v: getattr(v, "name", ""))
def test_the_number_of_columns_is_the_one_that_is_told(
    stage: Stage, info: StreamInfo
) -> None:
    """Where the docstring gives a plain number, that is what comes out."""
    text = re.sub(r"\s+", " ", inspect.getdoc(type(stage)) or "")
    told = re.search(r"Shape \(n, .+?\) to \([nm], ([0-9]+)\)", text)
    if told:
        assert len(stage.output_info(info).channels) == int(told[1])
