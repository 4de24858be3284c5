"""Read mutated files; one process per run, which reports every outcome as JSON.

Run as ``python tests/fuzz/fuzz_readers.py SEED COUNT [NAME:FIRST ...]``. The outcome of
a file is *read*, *refused* (one sentence that names the file), or a fault. The process
limits itself to 2 GiB beyond its start and 10 s of processor time a file.
"""

import gzip
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).resolve().parents[1])]

import reader_seeds as seeds  # noqa: E402 from this folder

MEMORY = 2 << 30
SECONDS = 10.0
LONGEST = 1_000_000  # bytes of a mutated file

NUMBERS = (
    b"nan", b"inf", b"-1", b"0", b"1e308", b"-1e308", b"99999999999999999999", b"",
    b"1e9", b"0.0000001", b"4294967296", b"2147483647", b"x", b"1,5", b'"', b"\xff",
)  # fmt: skip
EDGES = (b"\0", b"\xef\xbb\xbf", b"\r\n", b"\n\n\n", b"\t", b",", b"#", b"%",
         b"\xff\xfe", b"=", b"[", b"]", b"{", b"}", b"<",
         b">", b"PK\x03\x04", b"XDF:")  # fmt: skip


class SlowError(BaseException):
    """More than the processor time of a file."""


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to eight damages of different kinds."""
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        size = rng.choice((1, 2, 4, 16, 64, 512))
        match rng.randrange(11):
            case 0:
                if at < len(data):
                    data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at : at + size] = rng.randbytes(size)
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size] * rng.choice((1, 2, 1000))
            case 4:
                del data[at:]
            case 5:
                data[at:at] = rng.choice(EDGES)
            case 6 | 7:
                number(data, rng)
            case 8:
                lines = bytes(data).split(b"\n")
                i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
                lines[i], lines[j] = lines[j], lines[i]
                data[:] = b"\n".join(lines)
            case 9:
                other = rng.randrange(len(data) + 1)
                data[at : at + size] = data[other : other + size]
            case 10:
                data[at : at + 4] = rng.choice(
                    (
                        b"\xff\xff\xff\xff",
                        b"\xff\xff\xff\x7f",
                        b"\0\0\0\0",
                        b"\0\0\0\x80",
                    )
                )
        del data[LONGEST:]
    return bytes(data)


def number(data: bytearray, rng: random.Random) -> None:
    """Replace a number in text, if there is one."""
    digits = [i for i, c in enumerate(data[:4000]) if 48 <= c < 58]
    if not digits:
        return
    begin = end = rng.choice(digits)
    while end < len(data) and chr(data[end]) in "0123456789.eE+-":
        end += 1
    data[begin:end] = rng.choice(NUMBERS)


def damage(path: Path, rng: random.Random) -> None:
    """Mutate one file of a recording, a member of an archive, or what is packed."""
    file = rng.choice(sorted(p for p in path.parent.rglob("*") if p.is_file()))
    raw = file.read_bytes()
    if raw.startswith(b"PK\x03\x04") and rng.random() < 0.7:
        raw = in_archive(raw, rng)
    elif raw.startswith(b"\x1f\x8b") and rng.random() < 0.7:
        raw = gzip.compress(mutated(gzip.decompress(raw), rng), 1)
    else:
        raw = mutated(raw, rng)
    file.write_bytes(raw)


def in_archive(raw: bytes, rng: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = rng.choice(list(members))
    members[name] = mutated(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for member, content in members.items():
            file.writestr(member, content)
    return out.getvalue()


def readers() -> dict[str, tuple[tuple[seeds.Seed, ...], Callable[[Path], Any]]]:
    """Return seeds and reading function by name; formats are those of the registry."""
    from physio.cli.report import _of_result
    from physio.datasets import feature_table
    from physio.datasets.library import dataset_classes
    from physio.datasets.open_recording import FORMATS, read
    from physio.inference.calibration import Calibration
    from physio.io import matlab, safe_pickle
    from physio.online import session_config
    from physio.study.design import Design

    table: dict[str, Any] = {}
    for row in FORMATS:
        options = seeds.OPTIONS.get(row.reader, {})

        def one(path: Path, options: dict[str, Any] = options) -> None:
            recording = read(path, **options)
            for blocks in recording.streams.values():
                sum(map(len, blocks))
            assert recording.begin <= recording.end or not recording.infos

        table[row.reader] = (seeds.SEEDS[row.reader], one)
    classes = dataset_classes()
    for name, files in seeds.DATASETS.items():

        def first(path: Path, name: str = name) -> None:
            dataset = classes[name](path.parent)
            assert dataset.load(dataset.trials()[0]).streams

        table[name] = (files, first)
    return {
        **table,
        "pickle": ((seeds.pickle,), lambda p: safe_pickle.loads(p.read_bytes())),
        "matlab": ((seeds.matlab,), matlab.load),
        "features": ((seeds.feature_table,), feature_table.read),
        "session": ((seeds.session_file,), session_config.read),
        "audit": ((seeds.audit_json,), _of_result),
        "calibration": ((seeds.calibration,), Calibration.read),
        "study": ((seeds.study_file,), Design.read),
    }


SHARES = {
    "matlab": 10,
    "dasps": 10,
    "sam40": 4,
    "bids_ratings": 10,
    "dens": 10,
    "refed": 10,
    "seed_vii": 10,
    "physio.io.matlab_exports": 10,
    "physio.io.biopac": 4,
}
"""Slow readers: so many times fewer files."""

UNNAMED = frozenset(("pickle",))
"""Readers of bytes, whose caller names the file."""


class Outside:
    """Paths outside a folder that were opened for writing."""

    def __init__(self) -> None:
        self.folder, self.paths = "", list[str]()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
        if event != "open" or not self.folder or not isinstance(args[0], str):
            return
        path = os.path.normpath(Path.cwd() / args[0])
        if args[2] & writing and not path.startswith((self.folder, os.devnull)):
            self.paths.append(path)


def outcome(read: Callable[[Path], Any], path: Path, named: bool) -> str:
    """Return ``read``, ``refused``, or the fault."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        read(path)
    except (ValueError, OSError) as error:
        text = str(error)
        names = {path.name, *(p.name for p in path.parent.rglob("*"))}
        if "\n" in text:  # the command line cuts what is too long
            return f"{type(error).__name__} of several lines: {text!r:.300}"
        if isinstance(error, UnicodeError) or (
            named and not any(name in text for name in names)
        ):
            at = "".join(traceback.format_tb(error.__traceback__)[-3:])
            return f"{type(error).__name__} without the file: {text:.300}\n{at}"
        return "refused"
    except BaseException as error:  # reported, not raised
        at = "".join(traceback.format_tb(error.__traceback__)[-4:])
        return f"{type(error).__name__}: {error!s:.300}\n{at}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "read"


def _slow(*_: Any) -> None:
    raise SlowError


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the files of the command line's readers, from their first numbers on."""
    seed, count = int(sys.argv[1]), int(sys.argv[2])
    table = readers()
    begun = dict(part.split("=") for part in sys.argv[3:]) or dict.fromkeys(table, "0")
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, _slow)
    outside = Outside()
    with tempfile.TemporaryDirectory() as home:
        wholes = {}
        for name, (makers, read) in table.items():
            for k, make in enumerate(makers):
                root = Path(home) / "whole" / f"{name}-{k}"
                root.mkdir(parents=True)
                try:
                    whole = wholes[name, k] = make(root)
                except FileNotFoundError as error:  # no case to begin with
                    sys.stderr.write(f"{name} is left out: {error}\n")
                    begun.pop(name, None)
                    continue
                read(whole)  # what is not damaged is read; libraries are loaded
        used = int(Path("/proc/self/statm").read_text().split()[0])
        limit = used * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        work = Path(home) / "work"
        tempfile.tempdir = str(work / "tmp")
        outside.folder = str(work)
        for name, first in begun.items():
            makers, read = table[name]
            for i in range(int(first), max(1, count // SHARES.get(name, 1))):
                rng = random.Random(f"{seed} {name} {i}")
                whole = wholes[name, i % len(makers)]
                shutil.rmtree(work, ignore_errors=True)
                shutil.copytree(whole.parent, work / "in")
                (work / "tmp").mkdir()
                path = work / "in" / whole.name
                damage(path, rng)
                before = sorted(work.rglob("*"))
                say({"name": name, "number": i})
                found = outcome(read, path, name not in UNNAMED)
                left = sorted(work.rglob("*"))
                if left != before or outside.paths:
                    found = f"wrote {set(left) - set(before)} {outside.paths}"
                    outside.paths.clear()
                say({"outcome": found})


if __name__ == "__main__":
    main()
