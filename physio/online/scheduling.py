"""Real-time scheduling of the session loop."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def realtime_priority(*, enabled: bool = True) -> Iterator[list[str]]:
    """Give this thread real-time priority; yield the reasons if that is refused.

    If all cores are busy, a thread that wakes up waits some ten milliseconds to be
    scheduled, several times during its computation. Real-time scheduling, at its lowest
    priority, avoids that. Linux grants it to the administrator, and to users with a
    suitable limit (``rtprio`` in ``/etc/security/limits.d``, as for audio). Threads and
    processes started meanwhile have ordinary scheduling, and this thread returns to it
    afterwards. On other systems nothing is requested.

    Parameters
    ----------
    enabled
        Whether to request real-time scheduling.
    """
    if not enabled:
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
        except PermissionError:  # only an administrator clears this flag
            os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, before)
