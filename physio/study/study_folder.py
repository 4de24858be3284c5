"""A study's folder: the frozen plan, who had which order, what happened."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import physio.assets
from physio.study.counterbalancing import orders
from physio.study.design import Design

FILE: Final = "study.toml"
FROZEN: Final = "frozen.json"
LOG: Final = "log.jsonl"
SESSIONS: Final = "sessions"
DERIVED: Final = "derived"
EXAMPLE: Final = Path(physio.assets.__file__).parent / "study"


@dataclass(frozen=True)
class Study:
    """A study in its folder.

    The folder holds the plan (``study.toml``) with the session file, what was frozen
    of it (``frozen.json``: hash and orders), a log to which lines are only added
    (``log.jsonl``), the sessions (``sessions/CODE-1`` ...) and what was made of them
    (``derived``, which may be deleted at any time).

    Parameters
    ----------
    root
        The folder.
    design
        The plan as it is now.
    frozen
        What was frozen when the study began.
    """

    root: Path
    design: Design
    frozen: dict[str, Any]

    @classmethod
    def begin(cls, root: Path, plan: Path | None = None) -> Self:
        """Make a study's folder of a plan, by default the example, and freeze it.

        Raises
        ------
        ValueError
            If the plan is not whole, or the folder holds a study already.
        """
        if (root / FROZEN).exists():
            raise ValueError(
                f"{root} holds a study already: give a new folder; nothing was changed"
            )
        source = plan or EXAMPLE / FILE
        design = Design.read(source)
        session = source.parent / design.study.session
        if not session.is_file():
            raise FileNotFoundError(
                f"{source} names the session file {design.study.session!r}, and there "
                f"is none in {source.parent}"
            )
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, name in ((source, FILE), (session, design.study.session)):
            if path.resolve() != (root / name).resolve():
                _write(root / name, path.read_text("utf-8"))
        frozen = {
            "hash": design.hash,
            "seed": design.study.seed,
            "orders": orders(
                design.placed("first"),
                design.placed("balanced"),
                design.placed("last"),
                design.study.participants,
                design.study.seed,
            ),
            "frozen": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        _write(root / FROZEN, json.dumps(frozen, indent=1) + "\n")
        study = cls(root, design, frozen)
        study.tell("frozen", hash=design.hash)
        return study

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open a study's folder.

        Raises
        ------
        FileNotFoundError
            If it holds none.
        """
        if not (root / FROZEN).is_file():
            raise FileNotFoundError(
                f"{root} holds no study: make one with `physio study init {root}`"
            )
        frozen = json.loads((root / FROZEN).read_text("utf-8"))
        return cls(root, Design.read(root / FILE), frozen)

    def check(self, deviation: str = "") -> None:
        """Refuse a plan that is no longer the frozen one, or log why it is not.

        Parameters
        ----------
        deviation
            Why the plan was changed: it is logged, and the new plan accepted.

        Raises
        ------
        ValueError
            If it was changed and nobody says why.
        """
        accepted = [self.frozen["hash"]]
        accepted += [line["hash"] for line in self.log() if line["what"] == "deviation"]
        if self.design.hash == accepted[-1]:
            return
        if not deviation:
            raise ValueError(
                f"{self.root / FILE} is not as it was frozen (hash "
                f"{self.design.hash[:12]}, not {accepted[-1][:12]}): take the change "
                'back, or log it with --deviation "why"'
            )
        self.tell("deviation", hash=self.design.hash, why=deviation)

    def log(self) -> list[dict[str, Any]]:
        """Return what happened, in order."""
        path = self.root / LOG
        if not path.is_file():
            return []
        lines = path.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    def tell(self, what: str, **about: Any) -> None:
        """Add a line to the log, safe on the disk when this returns."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        text = json.dumps({**line, "what": what, **about}) + "\n"
        handle = os.open(self.root / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    @property
    def participants(self) -> dict[str, int]:
        """Who takes part, and the number of their order."""
        return {
            line["participant"]: line["order"]
            for line in self.log()
            if line["what"] == "assigned"
        }

    @property
    def withdrawn(self) -> int:
        """How many were deleted on their wish; who they were is not known any more."""
        return sum(line["what"] == "deleted" for line in self.log())

    def of(self, code: str) -> list[dict[str, Any]]:
        """Return the log of one participant.

        Raises
        ------
        ValueError
            If nobody has this code.
        """
        if code not in self.participants:
            known = ", ".join(self.participants) or "nobody yet"
            raise ValueError(f"no participant is called {code!r}; there is {known}")
        return [line for line in self.log() if line.get("participant") == code]

    @property
    def orders(self) -> list[list[str]]:
        """The frozen orders, and behind them those of participants planned since."""
        frozen: list[list[str]] = self.frozen["orders"]
        now = orders(
            self.design.placed("first"),
            self.design.placed("balanced"),
            self.design.placed("last"),
            self.design.study.participants,
            self.frozen["seed"],
        )
        return [*frozen, *now[len(frozen) :]]

    def assign(self, code: str, order: int | None = None) -> list[str]:
        """Return a participant's order of conditions; a new one gets the next free.

        Parameters
        ----------
        code
            Of the participant.
        order
            Its number, 0 the first, if it is not to be the next free one.

        Raises
        ------
        ValueError
            If the order is another's, or theirs is another, or none is left.
        """
        plans = self.orders
        taken = {n: who for who, n in self.participants.items()}
        used = set(taken) | {
            line["order"] for line in self.log() if line["what"] == "deleted"
        }
        if code in self.participants:
            own = self.participants[code]
            if order is not None and order != own:
                raise ValueError(
                    f"{code!r} has order {own}, not {order}: an order is kept for life"
                )
            return plans[own]
        if order is None:
            order = next((n for n in range(len(plans)) if n not in used), len(plans))
        if order in used:
            whose = taken.get(order, "somebody who withdrew")
            raise ValueError(
                f"order {order} was used by {whose}: leave --order out, and the next "
                "free one is taken"
            )
        if not 0 <= order < len(plans):
            raise ValueError(
                f"all {len(plans)} planned orders are used: plan more participants in "
                f"{FILE}, and log the deviation"
            )
        self.tell("assigned", participant=code, order=order, conditions=plans[order])
        return plans[order]

    def folder(self, code: str) -> Path:
        """Return where the next session of a participant goes."""
        (self.root / SESSIONS).mkdir(mode=0o700, exist_ok=True)
        names = (self.root / SESSIONS / f"{code}-{n}" for n in range(1, 1000))
        return next(path for path in names if not path.exists())

    def sessions(self, code: str) -> list[Path]:
        """Return the folders of a participant's sessions, in order."""
        found = []
        for path in (self.root / SESSIONS).glob(f"{code}-*"):
            number = path.name.removeprefix(f"{code}-")
            if number.isdigit() and (path / "recording.xdf").is_file():
                found.append((int(number), path))
        return [path for _, path in sorted(found)]


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Yield a folder beside; put it where ``folder`` is once it is filled."""
    import shutil

    made = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(mode=0o700, parents=True)
    try:
        yield made
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
