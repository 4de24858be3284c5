"""The names a notebook wants, and that they cost nothing until they are used."""

import json
import subprocess
import sys
from importlib.metadata import version
from types import ModuleType

import pytest

import physio

HEAVY = ("matplotlib", "mne", "numba", "numpy", "pandas", "pydantic", "rich", "torch")


def loaded(code: str) -> set[str]:
    """Return which heavy packages a fresh interpreter has loaded after ``code``."""
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(HEAVY) & set(json.loads(done.stdout))


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded("import physio\nphysio.__dir__()\nphysio.__version__") == set()


def test_the_conversions_load_mne_and_pandas_only_when_called() -> None:
    found = loaded("import physio\nphysio.to_mne, physio.to_pandas, physio.read")
    assert not found & {"mne", "pandas", "torch", "matplotlib"}


def test_every_name_is_there_and_listed() -> None:
    assert set(physio.__all__) <= set(dir(physio))
    for name in physio.__all__:
        assert getattr(physio, name) is not None, name
    assert physio.__version__ == version("physio-affect")


def test_the_package_of_features_is_no_function() -> None:
    import physio.features

    assert type(physio.features) is ModuleType
    assert callable(physio.compute_features)


def test_a_name_that_is_not_there_is_refused_as_by_any_module() -> None:
    with pytest.raises(
        AttributeError, match=r"^module 'physio' has no attribute 'emotion'$"
    ):
        physio.emotion  # noqa: B018
