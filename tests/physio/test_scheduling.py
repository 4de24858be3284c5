"""Real-time scheduling: asked for, given back, and refused in one sentence."""

import os
from threading import Thread

import pytest

from physio.online.scheduling import realtime_priority


def allowed() -> bool:
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


def test_it_is_given_back_and_not_handed_on() -> None:
    if not allowed():
        pytest.skip("this user may not ask for real-time scheduling")
    before = os.sched_getscheduler(0)
    others: list[int] = []
    with realtime_priority() as said:
        assert said == []
        assert os.sched_getscheduler(0) & os.SCHED_RR
        thread = Thread(target=lambda: others.append(os.sched_getscheduler(0)))
        thread.start()
        thread.join()
    assert os.sched_getscheduler(0) == before
    assert others == [os.SCHED_OTHER]


def test_who_does_not_ask_is_left_alone() -> None:
    before = os.sched_getscheduler(0)
    with realtime_priority(enabled=False) as said:
        assert os.sched_getscheduler(0) == before
    assert said == []


def test_a_refusal_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    with realtime_priority() as said:
        pass
    assert said == [
        "realtime: not allowed to this user; a limit 'rtprio' above 0 allows it"
    ]
