"""Counterbalanced orders of conditions."""

from collections.abc import Sequence

import numpy as np


def williams(n: int) -> list[list[int]]:
    """Return a Williams design: every item as often in each place and after each other.

    Parameters
    ----------
    n
        How many items.

    Returns
    -------
    list of list of int
        ``n`` sequences if ``n`` is even, ``2 n`` if it is odd and above 1.

    References
    ----------
    Williams (1949): Experimental designs balanced for the estimation of residual
    effects of treatments. Aust. J. Chem. 2:149.
    """
    if n < 2:
        return [list(range(n))]
    first = [0]
    low, high = 1, n - 1
    while len(first) < n:
        first.append(low)
        low += 1
        if len(first) < n:
            first.append(high)
            high -= 1
    rows = [[(item + shift) % n for item in first] for shift in range(n)]
    return rows if n % 2 == 0 else rows + [row[::-1] for row in rows]


def orders(
    first: Sequence[str],
    balanced: Sequence[str],
    last: Sequence[str],
    participants: int,
    seed: int,
) -> list[list[str]]:
    """Return an order of conditions for each of ``participants``.

    Within each round of the Williams design the sequences are shuffled, so that who
    comes when is not told by a number, and after any whole round the design is
    balanced.

    Parameters
    ----------
    first, last
        Conditions that everybody has first and last, in this order.
    balanced
        Those whose place changes from one participant to the next.
    participants
        How many orders.
    seed
        Of the shuffling.
    """
    rng = np.random.default_rng(seed)
    design = williams(len(balanced))
    found: list[list[str]] = []
    while len(found) < participants:
        for k in rng.permutation(len(design)):
            middle = [balanced[i] for i in design[k]]
            found.append([*first, *middle, *last])
    return found[:participants]
