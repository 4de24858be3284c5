"""Slow models: due ticks later, missed when late, and missed again in a replay."""

from copy import deepcopy

import pytest

from physio.inference.slow_expert import AnswerQueue, Worker, WorkerTask


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
