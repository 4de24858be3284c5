"""The laws of a sink, in `physio.testing`, on every sink that writes to a folder."""

import importlib
import inspect
import itertools
import pkgutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import SimpleNamespace

import pytest

import physio.sinks
from physio.core.events import Item
from physio.core.protocols import Sink
from physio.sinks.background import BackgroundSink
from physio.sinks.jsonl import JsonLines
from physio.testing import check_sink, sink_laws

NETWORKED = dict.fromkeys(("Callback", "Osc", "Ttl"), "test_program_outputs_live.py")
NETWORKED["Lsl"] = "test_lsl_live.py"
"""Sinks of other programs, and the tests in real time that cover them."""

WRAPPERS = {"BackgroundSink"}


def classes() -> Iterator[type[Sink]]:
    for module in pkgutil.iter_modules(physio.sinks.__path__, "physio.sinks."):
        members = inspect.getmembers(
            importlib.import_module(module.name), inspect.isclass
        )
        for _, cls in members:
            if issubclass(cls, Sink) and cls.__module__ == module.name:
                yield cls


FILES = [c for c in classes() if c.__name__ not in {*NETWORKED, *WRAPPERS}]


def test_the_sinks_are_found() -> None:
    names = {cls.__name__ for cls in classes()}
    assert names >= {"Xdf", "JsonLines", "ParquetTables", *NETWORKED, *WRAPPERS}
    folder = Path(__file__).parents[1] / "realtime"
    for name, file in NETWORKED.items():
        assert name in (folder / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("cls", FILES, ids=lambda c: c.__name__)
def test_a_sink_takes_a_session(cls: type[Sink], tmp_path: Path) -> None:
    assert "folder" in {f.name for f in fields(cls)}  # type: ignore[arg-type]
    check_sink(cls(tmp_path))  # type: ignore[call-arg]
    assert list(tmp_path.iterdir())


def test_a_sink_in_the_background_takes_a_session(tmp_path: Path) -> None:
    check_sink(BackgroundSink(JsonLines(tmp_path)))
    assert (tmp_path / "estimates.jsonl").read_text()


@dataclass
class Lawful(Sink):
    """Keeps every item."""

    items: list[Item] = field(default_factory=list)

    def write(self, item: Item) -> None:
        self.items.append(item)


class Picky(Lawful):
    def write(self, item: Item) -> None:
        super().write(item)
        item.labels  # noqa: B018 blocks have none


class Restless(Lawful):
    def __enter__(self) -> "Restless":
        wait = threading.Event().wait
        threading.Thread(target=wait, args=(2.0,), daemon=True).start()
        return self


class Absent(Lawful):
    def __enter__(self) -> None:  # type: ignore[override]
        self.items.clear()


class Faulty(Lawful):
    def faults(self) -> list[str]:
        return ["3 items dropped"]


@pytest.mark.parametrize(
    ("cls", "law"),
    [
        (Picky, "a block of 'band.eda' with 4 rows raised AttributeError"),
        (Restless, "1 of its threads still run"),
        (Absent, "__enter__ returned NoneType, not the sink"),
        (Faulty, "although nothing failed: 3 items dropped"),
    ],
)
def test_the_laws_break(cls: type[Lawful], law: str) -> None:
    check_sink(Lawful())
    with pytest.raises(AssertionError, match=law):
        check_sink(cls())


def test_the_law_of_waiting_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=itertools.count().__next__)  # a second a call
    monkeypatch.setattr(sink_laws, "time", clock)
    with pytest.raises(AssertionError, match=r"write never waits\): .* took 1.00 s"):
        check_sink(Lawful())
