"""Counterbalanced orders of conditions."""

from collections.abc import Sequence

import numpy as np


def williams_design(n: int) -> list[list[int]]:
    """Return a Williams design, balanced for position and first-order carry-over.

    Parameters
    ----------
    n
        Number of items.

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


def draw_orders(
    first: Sequence[str],
    balanced: Sequence[str],
    last: Sequence[str],
    participants: int,
    seed: int,
) -> list[list[str]]:
    """Return the orders of conditions of all participants.

    The sequences are shuffled within a round of the Williams design, so that the number
    of a participant does not reveal the order. After a complete round the design is
    balanced.

    Parameters
    ----------
    first, last
        Conditions that all participants have first and last, in this order.
    balanced
        Conditions whose position is balanced over participants.
    participants
        Number of orders.
    seed
        Seed for the shuffling.
    """
    rng = np.random.default_rng(seed)
    design = williams_design(len(balanced))
    sequences: list[list[str]] = []
    while len(sequences) < participants:
        for k in rng.permutation(len(design)):
            middle = [balanced[i] for i in design[k]]
            sequences.append([*first, *middle, *last])
    return sequences[:participants]
