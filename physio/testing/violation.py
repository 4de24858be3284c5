"""Failures of the laws: one sentence that names the law and the difference."""

from collections.abc import Sequence

import numpy as np

from physio.core.block import Array
from physio.core.missing import MissingReason, missing_reason

_LONGEST = 200  # characters of a subject in a message


def require(holds: object, subject: object, law: str, difference: str) -> None:
    """Raise AssertionError unless a law holds.

    Parameters
    ----------
    holds
        Whether it holds.
    subject
        The object under test, or its name.
    law
        The law, as a clause: ``"reset forgets"``.
    difference
        What differs from the law, with the values.
    """
    if not holds:
        raise AssertionError(f"{describe_subject(subject)} breaks {law}: {difference}")


def require_equal(
    actual: Array, expected: Array, subject: object, law: str, columns: Sequence[str]
) -> None:
    """Raise AssertionError unless two arrays have the same numbers and reasons.

    Parameters
    ----------
    actual, expected
        Shape (n, columns) each.
    subject, law
        As of `require`.
    columns
        Name of each column.
    """
    shapes = f"the shape is {actual.shape}, not {expected.shape}"
    require(actual.shape == expected.shape, subject, law, shapes)
    equal = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    equal &= missing_reason(actual) == missing_reason(expected)
    if not equal.all():
        row, column = np.argwhere(~equal)[0].tolist()
        require(
            holds=False,
            subject=subject,
            law=law,
            difference=f"row {row} of {columns[column]!r} is "
            f"{describe_value(actual[row, column])}, not "
            f"{describe_value(expected[row, column])}",
        )


def describe_value(value: float) -> str:
    """Return a number, or that it is missing and why."""
    if not np.isnan(value):
        return f"{float(value)!r}"
    return f"missing ({MissingReason(int(missing_reason(value))).words})"


def describe_subject(subject: object) -> str:
    """Return the name of an object under test, shortened."""
    text = subject if isinstance(subject, str) else repr(subject)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
