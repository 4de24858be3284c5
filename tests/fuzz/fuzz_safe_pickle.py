"""Coverage-guided fuzzing of the reader of pickles; see test_fuzz.py.

Run as ``python tests/fuzz/fuzz_safe_pickle.py FOLDER -max_total_time=600``.
"""

import pickle
import resource
import sys
from pathlib import Path

import atheris
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from python2 import dumped

with atheris.instrument_imports(include=["physio.io.safe_pickle"]):
    from physio.io import safe_pickle

PLAIN = "biufcUSV"
"""What kinds of arrays may come out; never objects, which are pointers."""


def once(data: bytes) -> None:
    try:
        found = safe_pickle.loads(data)
    except safe_pickle.RefusedError:
        return
    walk(found)


def walk(value: object) -> None:
    """Touch all that came out, so that what is wrong with an array shows."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in PLAIN:
            raise TypeError(f"an array of {value.dtype}")
        value.sum()
    elif isinstance(value, dict):
        for part in value.values():
            walk(part)
    elif isinstance(value, list | tuple):
        for part in value:
            walk(part)
    elif not isinstance(value, str | bytes | int | float | complex | None):
        raise TypeError(f"a {type(value).__name__}")


def seeds(folder: Path) -> None:
    """Write whole pickles for the mutations to begin with."""
    value = {"data": np.arange(6.0).reshape(2, 3), "n": [1, 2.5, (None, True)]}
    texts = [pickle.dumps(value, protocol) for protocol in range(6)]
    texts += [pickle.dumps(np.float32(1), p) for p in range(6)]
    texts += [dumped({"a": np.ones(3), "b": "x"}, p) for p in (0, 2)]
    for i, text in enumerate(texts):
        (folder / f"seed{i}").write_bytes(text)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    seeds(Path(sys.argv[1]))
    np.seterr(all="ignore")
    atheris.Setup(sys.argv, once)
    atheris.Fuzz()
