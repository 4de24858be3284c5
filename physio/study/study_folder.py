"""The folder of a study: frozen plan, orders of conditions, log, sessions."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import physio.assets
from physio.core.output_file import flush_to_disk
from physio.core.private_file import open_private
from physio.study.counterbalancing import draw_orders
from physio.study.design import Design
from physio.study.stimuli import draw_stimuli

FILE: Final = "study.toml"
FROZEN: Final = "frozen.json"
LOG: Final = "log.jsonl"
SESSIONS: Final = "sessions"
DERIVED: Final = "derived"
EXAMPLE: Final = Path(physio.assets.__file__).parent / "study"


@dataclass(frozen=True)
class Study:
    """A study in its folder.

    The folder holds the plan (``study.toml``) with the session file, its frozen hash
    and orders (``frozen.json``), an append-only log (``log.jsonl``), the sessions
    (``sessions/CODE-1`` ...) and the results (``derived``, which may be deleted at any
    time).

    Parameters
    ----------
    root
        The folder.
    design
        The present plan.
    frozen
        The frozen hash, seed and orders.
    """

    root: Path
    design: Design
    frozen: dict[str, Any]

    @classmethod
    def begin(cls, root: Path, plan: Path | None = None) -> Self:
        """Create the folder of a study from a plan, by default the example; freeze it.

        Raises
        ------
        ValueError
            If the plan is incomplete, or the folder holds a study already.
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
                f"{source} names the session file {design.study.session!r}, which is "
                f"not in {source.parent}"
            )
        plan_hash = design.hash  # reads and checks every file of the plan
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        texts = [*map("{}.toml".format, design.worded)]
        texts += filter(None, (design.study.instructions, design.study.consent_text))
        copies = {name: source.parent / name for name in texts}
        copies |= {FILE: source, design.study.session: session}
        for name, path in copies.items():
            if path.resolve() != (root / name).resolve():
                _write(root / name, path.read_text("utf-8"))
        _copy_stimuli(design, root)
        frozen: dict[str, Any] = {
            "hash": plan_hash,
            "seed": design.study.seed,
            "orders": draw_orders(
                design.placed("first"),
                design.placed("balanced"),
                design.placed("last"),
                design.study.participants,
                design.study.seed,
            ),
            "frozen": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if design.stimuli:
            frozen["files"] = design.file_hashes
            frozen["stimuli"] = _stimulus_orders(design, design.study.seed)
        _write(root / FROZEN, json.dumps(frozen, indent=1) + "\n")
        study = cls.open(root)
        study.write_log("frozen", hash=plan_hash)
        return study

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open a study's folder.

        Raises
        ------
        FileNotFoundError
            If the folder holds no study.
        """
        if not (root / FROZEN).is_file():
            raise FileNotFoundError(
                f"{root} holds no study: create one with `physio study init {root}`"
            )
        frozen = json.loads((root / FROZEN).read_text("utf-8"))
        return cls(root, Design.read(root / FILE), frozen)

    def check(self, deviation: str = "") -> None:
        """Compare the plan with the frozen one; log a deviation or refuse it.

        Parameters
        ----------
        deviation
            Reason for the change, which is logged; the new plan is then accepted.

        Raises
        ------
        ValueError
            If the plan was changed and no reason is given.
        """
        accepted = [self.frozen["hash"]]
        accepted += [
            line["hash"] for line in self.log() if line["event"] == "deviation"
        ]
        if self.design.hash == accepted[-1]:
            return
        if not deviation:
            if changed := self._changed_files():
                raise ValueError(
                    f"{self.root / changed[0]} is not the file of the frozen plan: "
                    'restore it, or log the change with --deviation "reason"'
                )
            raise ValueError(
                f"{self.root / FILE} differs from the frozen plan (hash "
                f"{self.design.hash[:12]}, not {accepted[-1][:12]}): undo the "
                'change, or log it with --deviation "reason"'
            )
        self.write_log("deviation", hash=self.design.hash, why=deviation)

    def _changed_files(self) -> list[str]:
        """Return the names of the files of stimuli that differ from the frozen ones."""
        frozen, now = self.frozen.get("files", {}), self.design.file_hashes
        return [name for name, digest in now.items() if frozen.get(name) != digest]

    def log(self) -> list[dict[str, Any]]:
        """Return the log in order of time."""
        path = self.root / LOG
        if not path.is_file():
            return []
        lines = path.read_text("utf-8").splitlines()
        entries = [json.loads(line) for line in lines if line.strip()]
        if any("event" not in entry for entry in entries):
            raise ValueError(
                f"{path} is the log of a study of version 0.1, which this version "
                "cannot continue"
            )
        return entries

    def write_log(self, event: str, **about: Any) -> None:
        """Append a line to the log and flush it to disk."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds")}
        text = json.dumps({**line, "event": event, **about}) + "\n"
        handle = os.open(self.root / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            flush_to_disk(file.fileno())

    @property
    def participants(self) -> dict[str, int]:
        """Participant codes with the numbers of their orders."""
        return {
            line["participant"]: line["order"]
            for line in self.log()
            if line["event"] == "assigned"
        }

    @property
    def withdrawn(self) -> int:
        """Number of participants who withdrew; their codes are deleted."""
        return sum(line["event"] == "deleted" for line in self.log())

    def log_of(self, code: str) -> list[dict[str, Any]]:
        """Return the log of one participant.

        Raises
        ------
        ValueError
            If no participant has this code.
        """
        if code not in self.participants:
            known = ", ".join(self.participants) or "none yet"
            raise ValueError(f"there is no participant {code!r}; enrolled: {known}")
        return [line for line in self.log() if line.get("participant") == code]

    @property
    def orders(self) -> list[list[str]]:
        """The frozen orders, then those of participants planned later."""
        frozen: list[list[str]] = self.frozen["orders"]
        now = draw_orders(
            self.design.placed("first"),
            self.design.placed("balanced"),
            self.design.placed("last"),
            self.design.study.participants,
            self.frozen["seed"],
        )
        return [*frozen, *now[len(frozen) :]]

    def conditions(self, code: str) -> list[str]:
        """Return the conditions of an enrolled participant in their order.

        Raises
        ------
        ValueError
            If the log assigns an order that is not planned.
        """
        number, plans = self.participants[code], self.orders
        if number not in range(len(plans)):
            raise ValueError(
                f"{self.root / LOG} assigns order {number} to {code!r}, but the plan "
                f"has {len(plans)} orders: restore the plan or the log"
            )
        return plans[number]

    def stimuli(self, code: str) -> dict[str, list[str]]:
        """Return the stimuli of an enrolled participant, by condition, in order.

        The frozen order holds as long as the plan has the same stimuli.
        """
        number = self.participants[code]
        frozen = self.frozen.get("stimuli", {})
        orders = _stimulus_orders(self.design, self.frozen["seed"])
        return {
            condition: frozen[condition][number]
            if number < len(frozen.get(condition, ()))
            and sorted(frozen[condition][number]) == sorted(drawn[number])
            else drawn[number]
            for condition, drawn in orders.items()
        }

    def assign(self, code: str, order: int | None = None) -> list[str]:
        """Return the order of conditions of a participant, assigned at the first call.

        Parameters
        ----------
        code
            Participant code.
        order
            Number of the order from 0; default: the next free one.

        Raises
        ------
        ValueError
            If the order is taken, differs from the assigned one, or none is free.
        """
        plans = self.orders
        taken = {n: who for who, n in self.participants.items()}
        used = set(taken) | {
            line["order"] for line in self.log() if line["event"] == "deleted"
        }
        if code in self.participants:
            number = self.participants[code]
            if order is not None and order != number:
                raise ValueError(
                    f"{code!r} has order {number}, not {order}: an assigned order is "
                    "final"
                )
            return self.conditions(code)
        if order is None:
            order = next((n for n in range(len(plans)) if n not in used), len(plans))
        if order in used:
            whose = taken.get(order, "a participant who withdrew")
            raise ValueError(
                f"order {order} was used by {whose}: without --order the next free one "
                "is assigned"
            )
        if not 0 <= order < len(plans):
            raise ValueError(
                f"all {len(plans)} planned orders are used: plan more participants in "
                f"{FILE}, and log the deviation"
            )
        self.write_log(
            "assigned", participant=code, order=order, conditions=plans[order]
        )
        return plans[order]

    def next_session_folder(self, code: str) -> Path:
        """Return the folder of the next session of a participant."""
        (self.root / SESSIONS).mkdir(mode=0o700, exist_ok=True)
        names = (self.root / SESSIONS / f"{code}-{n}" for n in range(1, 1000))
        return next(path for path in names if not path.exists())

    def sessions(self, code: str) -> list[Path]:
        """Return the folders of the sessions of a participant, in order."""
        folders = []
        home = self.root / SESSIONS
        for path in home.iterdir() if home.is_dir() else ():
            name, _, number = path.name.rpartition("-")
            recorded = (path / "recording.xdf").is_file()
            if name == code and number.isdigit() and recorded:
                folders.append((int(number), path))
        return [path for _, path in sorted(folders)]


@contextmanager
def replace_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder that replaces ``folder`` when the block ends without error.

    Folders inside it that the new one lacks stay, as the epochs beside a table.
    """
    new, old = (folder.with_name(f".{folder.name}.{k}") for k in ("new", "old"))
    _restore_folders(old, folder)  # of a run that was killed meanwhile
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700, parents=True)
    try:
        yield new
        for path in new.iterdir():
            path.chmod(0o600)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        _restore_folders(old, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _restore_folders(old: Path, folder: Path) -> None:
    """Move what must stay of a replaced folder to the new one, and remove the rest."""
    if not old.is_dir():
        return
    if not folder.exists():
        old.rename(folder)
        return
    for path in list(old.iterdir()):
        if path.is_dir() and not (folder / path.name).exists():
            path.rename(folder / path.name)
    shutil.rmtree(old, ignore_errors=True)


def _stimulus_orders(design: Design, seed: int) -> dict[str, list[list[str]]]:
    """Return the stimuli of each condition in the order of every participant."""
    orders = {}
    for name, condition in design.conditions.items():
        if condition.stimuli:
            names = [file.name for file in design.stimulus_files[condition.stimuli]]
            order = design.stimuli[condition.stimuli].order
            planned = design.study.participants
            orders[name] = draw_stimuli(names, order, planned, seed, name)
    return orders


def _copy_stimuli(design: Design, root: Path) -> None:
    """Copy the files of stimuli into a study's folder, each once; overwrite none."""
    paths = {f.name: f.path for group in design.stimulus_files.values() for f in group}
    for name, path in paths.items():
        target = root / name
        if target.resolve() == path.resolve():
            continue
        if target.exists():
            raise ValueError(f"{target} exists, and is not overwritten: remove it")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open_private(target, "xb") as copy, path.open("rb") as original:
            shutil.copyfileobj(original, copy)


def _write(path: Path, text: str) -> None:
    with open_private(path, "x") as file:
        file.write(text)
