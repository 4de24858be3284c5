"""Global names that a pickle of arrays may refer to, and their replacements."""

from typing import Any, Final

from physio.io.safe_pickle.ndarray_parts import (
    Array,
    Dtype,
    Raw,
    UnfitError,
    filled,
    scalar,
)

_MULTIARRAY: Final = (
    "numpy.core.multiarray", "numpy._core.multiarray",
    "numpy.core._multiarray_umath", "numpy._core._multiarray_umath",
)  # fmt: skip
_NAMES: Final = {
    **{f"{module} _reconstruct": "reconstruct" for module in _MULTIARRAY},
    **{f"{module} scalar": "scalar" for module in _MULTIARRAY},
    "numpy.core.numeric _frombuffer": "frombuffer",
    "numpy._core.numeric _frombuffer": "frombuffer",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
    "_codecs encode": "encode",
    "__builtin__ bytes": "bytes",
    "builtins bytes": "bytes",
}


class Token:
    """A global name in the file, which refers to no object."""

    def __init__(self, module: str, name: str) -> None:
        known = _NAMES.get(f"{module} {name}")
        if known is None:
            raise UnfitError(
                f"asks for {_shown(module)}.{_shown(name)}, which no recording needs; "
                "nothing was run"
            )
        self.name = known


def construct(token: Token, args: tuple[Any, ...]) -> Any:
    """Return the result of the function of that name, as implemented here."""
    match token.name:
        case "reconstruct" if len(args) == 3 and _is_ndarray(args[0]):
            return Array()
        case "dtype":
            return Dtype(args)
        case "scalar":
            return scalar(args)
        case "encode" if len(args) == 2 and _word(args[1]) in ("latin1", "latin-1"):
            if isinstance(args[0], Raw):
                return args[0].encoded()
        case "bytes" if not args:
            return Raw(b"", "")
        case "frombuffer" if len(args) == 4 and _word(args[3]) in ("C", "F"):
            raw, dtype, shape, order = args
            return Array(filled(shape, dtype, raw, _word(order)))
    raise UnfitError(f"asks to call {token.name!r} in a way that numpy never does")


def _is_ndarray(value: Any) -> bool:
    return isinstance(value, Token) and value.name == "ndarray"


def _word(value: Any) -> str:
    return value.text() if isinstance(value, Raw) and value.codec else ""


def _shown(name: str) -> str:
    return name[:60] if name.isprintable() else ascii(name[:60])
