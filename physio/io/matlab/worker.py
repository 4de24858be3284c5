"""Process that parses a MATLAB file; see the package."""

import fnmatch
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

DEPTH = 16


def main(path: str, output: str, names: str, within: str, memory: str) -> int:
    """Write the arrays of ``path`` to ``made``; print the error, if any."""
    limit_memory(int(memory))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import numpy as np
    import scipy.io

    try:
        with open(path, "rb") as file:  # noqa: PTH123
            known = [name for name, *_ in scipy.io.whosmat(file)]
            wanted = [name for name in known if fnmatch.fnmatchcase(name, names)]
            if not wanted:
                print(f"it has no variable {names}; it has {', '.join(known)[:200]}")  # noqa: T201
                return 1
            file.seek(0)
            content = scipy.io.loadmat(file, variable_names=wanted)
            values: dict[str, Any] = {}
            for name in wanted:
                values.update(flatten(name, content[name], within, 0))
            labels = np.array(list(values), dtype=np.str_)
            arrays = {f"a{i}": value for i, value in enumerate(values.values())}
            np.savez(output, names=labels, **arrays)
    except MemoryError:
        print(f"it needs more than {int(memory) / 2**30:.1f} GB")  # noqa: T201
        return 1
    except Exception as error:  # any error of SciPy on damaged files
        text = " ".join(str(error).split())[:120]
        print(f"it is damaged or truncated ({text or type(error).__name__})")  # noqa: T201
        return 1
    return 0


def limit_memory(memory: int) -> None:
    """Limit this process to ``memory`` bytes."""
    try:
        import resource
    except ImportError:
        return
    with suppress(ValueError, OSError):  # macOS refuses this one
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def flatten(
    name: str, value: Any, within: str, depth: int
) -> Iterator[tuple[str, Any]]:
    """Yield the plain arrays within a value, with their paths."""
    if depth > DEPTH:
        raise ValueError(f"values nested more than {DEPTH} deep")
    ours = name.startswith(within) or within.startswith(f"{name}/")
    if not ours:
        return
    if value.dtype.names:
        for i, element in enumerate(value.ravel(order="F")):
            place = name if value.size == 1 else f"{name}/{i}"
            for field in value.dtype.names:
                yield from flatten(
                    f"{place}/{field}", element[field], within, depth + 1
                )
    elif value.dtype == object:
        for i, element in enumerate(value.ravel(order="F")):
            yield from flatten(f"{name}/{i}", element, within, depth + 1)
    elif value.dtype.kind in "biufcU":
        yield name, value


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
