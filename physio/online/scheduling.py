"""Being run on time among all that a machine runs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def realtime_priority(*, asked: bool = True) -> Iterator[list[str]]:
    """Have this thread run as soon as it has something to do; yield why it cannot.

    With every core busy, a thread that was asleep waits for its turn some ten
    milliseconds, several times over while it computes. Real-time scheduling (the least
    of its priorities) spares it that. Linux grants it to the administrator, and to
    whom a limit allows it (``rtprio`` in ``/etc/security/limits.d``, as for audio).
    Threads and processes begun meanwhile are scheduled as ever, and so is this one
    afterwards. Elsewhere than on Linux nothing is asked for.

    Parameters
    ----------
    asked
        Whether to ask at all.
    """
    if not asked:
        yield []
        return
    if not hasattr(os, "SCHED_RR") or not hasattr(os, "SCHED_RESET_ON_FORK"):
        yield ["realtime: this system has no real-time scheduling to ask for"]
        return
    policy, before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(
            0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1)
        )
    except PermissionError:
        yield ["realtime: not allowed to this user; a limit 'rtprio' above 0 allows it"]
        return
    try:
        yield []
    finally:
        try:
            os.sched_setscheduler(0, policy, before)
        except PermissionError:  # what is begun must stay as it is: that alone is kept
            os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, before)
