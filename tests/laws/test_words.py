"""Every stage says what it is, where it is from and how late it is."""

import inspect

import pytest
from test_stages import classes

from physio.core.stage import Chain, Fork, Masked

_OWN = [c for c in classes() if c not in (Chain, Fork, Masked)]


@pytest.mark.parametrize("cls", _OWN, ids=lambda c: c.__name__)
def test_a_stage_tells_its_settings_and_its_units(cls: type) -> None:
    text = inspect.getdoc(cls) or ""
    settings = getattr(cls, "__dataclass_fields__", {})
    for name in settings:
        assert name in text, f"{cls.__name__} does not say what {name!r} is"
    assert len(text.splitlines()[0]) > 20
    assert text.splitlines()[0].endswith(".")
    if cls.__module__.startswith("physio.features."):
        assert "delay" in text, f"{cls.__name__} does not say how late it is"
        assert "Notes" in text, f"{cls.__name__} does not say what it deviates from"
