"""Stands in for the module of Windows: its locks, and keys from standard input."""

import fcntl
import os
import select
import sys

LK_NBLCK = 2


def locking(file: int, mode: int, size: int) -> None:
    assert mode == LK_NBLCK
    assert size == 1
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def kbhit() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def getwch() -> str:
    return os.read(sys.stdin.fileno(), 1).decode("latin-1")
