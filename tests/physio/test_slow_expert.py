"""Slow models: due ticks later, missed when late, and missed again in a replay."""

from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.missing import MissingReason
from physio.core.stage import StageRunner
from physio.inference.estimator import Estimator, Expert
from physio.inference.slow_expert import AnswerQueue, Worker, WorkerTask
from physio.models.baseline import BaselinePrior
from physio.training.learner import Samples, silent
from physio.training.linear_learner import RidgeLearner
from physio.training.save_weights import minimal_card, store


class Manual(Worker):
    """A worker that runs a task when it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[WorkerTask[object]] = []

    def put(self, task: WorkerTask[object]) -> None:
        self.tasks.append(task)

    def work(self) -> None:
        for task in self.tasks:
            task.run()
        self.tasks = []


def steps(queue: AnswerQueue[str], ticks: range) -> list[str]:
    return [queue.step(lambda i=i: f"answer {i}") for i in ticks]  # type: ignore[misc]


def test_an_answer_is_due_after_the_declared_ticks_and_holds() -> None:
    queue = AnswerQueue(3, "nothing", "late", None)
    assert steps(queue, range(9)) == [
        *["nothing"] * 3, *["answer 0"] * 3, *["answer 3"] * 3,
    ]  # fmt: skip


def test_a_worker_gives_the_same_answers() -> None:
    worker, found = Manual(), list[str]()
    queue = AnswerQueue(3, "nothing", "late", worker)
    for i in range(9):
        found += steps(queue, range(i, i + 1))
        worker.work()
    assert found == steps(AnswerQueue(3, "nothing", "late", None), range(9))
    assert queue.take_misses() == []


def test_a_late_answer_is_missed_and_missed_again() -> None:
    worker = Manual()
    queue = AnswerQueue(2, "nothing", "late", worker)
    found = steps(queue, range(3))  # answer 0 is due, and not there: 2 is skipped
    worker.work()
    found += steps(queue, range(3, 5))
    worker.work()
    found += steps(queue, range(5, 8))
    assert found == [*["nothing"] * 2, *["late"] * 4, *["answer 4"] * 2]
    misses = queue.take_misses()
    assert misses == ["2", "4 skipped"]
    computed = []
    again = AnswerQueue(2, "nothing", "late", None)
    again.miss(misses)

    def work(i: int) -> str:
        computed.append(i)
        return f"answer {i}"

    assert [again.step(lambda i=i: work(i)) for i in range(8)] == found  # type: ignore[misc]
    assert computed == [0, 4]  # as in the session


def test_an_error_is_raised_when_the_answer_is_due() -> None:
    def fails() -> str:
        raise RuntimeError("no answer today")

    queue = AnswerQueue(1, "nothing", "late", None)
    assert queue.step(fails) == "nothing"
    with pytest.raises(RuntimeError, match="no answer today"):
        queue.step(fails)


def test_a_checkpoint_goes_on_with_the_same_answers() -> None:
    queue = AnswerQueue(2, "nothing", "late", None)
    steps(queue, range(3))
    again = deepcopy(queue)
    assert steps(again, range(3, 8)) == steps(queue, range(3, 8))


def test_the_thread_of_a_worker_computes() -> None:
    worker = Worker()
    task = WorkerTask(lambda: 7)
    worker.put(task)
    assert task.result() == 7
    assert task.is_done


def test_the_support_of_a_slow_answer_is_that_of_its_input(tmp_path: Path) -> None:
    """It is no later row's: neither its window, nor the chains that it had."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 2))
    samples = Samples(
        x, 0.3 * x[:, :1], np.repeat(["a", "b", "c", "d"], 20), np.arange(80),
        np.full(80, ""), np.arange(80.0), targets=("arousal",),
    )  # fmt: skip
    model = RidgeLearner().fit(samples, silent)
    ones = np.ones(2)
    rest = BaselinePrior(np.zeros(2), ones, ones, ones, ones)
    names = ("eda.a", "heart.b")
    use = f"{type(model).__module__}:{type(model).__name__}"
    columns = tuple((n, "raw") for n in names)
    card = minimal_card(use, columns, 1.0, Origin.MEASURED, ("arousal",))
    store(tmp_path / "mine", card, model, rest, (np.zeros(3), np.ones(3)))
    ends = [
        f"{c}.{e}" for c in ("eda", "heart") for e in ("window_start", "window_end")
    ]
    channels = tuple(map(Channel, (*names, *ends)))
    info = StreamInfo("features", Fraction(4), channels, origin=Origin.MEASURED)
    rows = rng.normal(size=(60, 6))
    now = np.arange(60) / 4
    rows[:, 2:] = np.stack([now - 4, now, now - 20, now - 1], axis=1)
    rows[20:29, 1] = MissingReason.NO_SIGNAL.nan  # then heart is no part of it
    block = Block(info, 0, 0.0, rows)
    fast = Expert(str(tmp_path / "mine"))
    whole, late = (
        StageRunner(Estimator((expert,)), info).push(block)
        for expert in (fast, replace(fast, delay=4))
    )
    # Answer k of the slow model holds for four ticks, and is that of tick k - 4.
    given = [4 * (tick // 4) - 4 for tick in range(8, 60)]
    for name in ("support.window_start", "support.window_end", "arousal"):
        np.testing.assert_array_equal(late.column(name)[8:], whole.column(name)[given])
    assert late.column("support.window_start")[28] == now[24] - 4
    assert late.column("support.window_end")[24] == now[20]
    assert late.column("support.window_start")[20] == now[16] - 20
