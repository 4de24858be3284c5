"""Words for devices on the command line."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class DeviceWord:
    """Word for a device on the command line.

    Parameters
    ----------
    target
        Phrase on what is looked for.
    sources
        Searches of `physio.cli.device_search` that can answer.
    pattern
        Expression that the description of a device must match, in any case.
    """

    target: str
    sources: tuple[str, ...]
    pattern: str = ""


WORDS: Final[Mapping[str, DeviceWord]] = {
    "demo": DeviceWord("the simulated participant", ("demo",)),
    "synthetic": DeviceWord("the synthetic board", ("synthetic",)),
    "lsl": DeviceWord("LSL streams", ("lsl",)),
    "muse": DeviceWord("a Muse", ("lsl", "bluetooth"), "muse"),
    "openbci": DeviceWord(
        "a board of OpenBCI", ("lsl", "serial"), "openbci|obci|cyton|ganglion"
    ),
    "e4": DeviceWord("an Empatica E4", ("lsl", "e4"), r"\be4|empatica"),
    "polar": DeviceWord("a sensor of Polar", ("lsl", "bluetooth"), "polar"),
}
"""Words for devices; the name of any board of BrainFlow is another."""

EVERYWHERE: Final = DeviceWord(
    "LSL streams, wristbands, Bluetooth sensors and boards",
    ("lsl", "e4", "bluetooth", "serial"),
)
"""Searches without a word."""


def is_word(text: str) -> bool:
    """Return whether a text is a word for a device: of `WORDS`, or a board's name."""
    if text in WORDS:
        return True
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        return False
    from devices.board import available_boards

    return text in available_boards()


def target(word: str) -> str:
    """Return a phrase on what a search looks for."""
    if word and word not in WORDS:
        return f"the board {word!r}"
    return WORDS.get(word, EVERYWHERE).target
