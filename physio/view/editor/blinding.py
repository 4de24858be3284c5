"""Channels that would reveal conditions to a rater who is blind to them."""

import re
from typing import Final

from physio.core.block import StreamInfo

_REVEALING: Final = re.compile(
    r"stim(ulus|uli)?|sti|trig(ger)?s?|ttl|din|lpt|markers?|events?|conditions?|labels?"
    r"|photo(diode|sensor|cell|transistor|resistor)?s?|lights?|lightsensor|lux"
    r"|mic|microphones?|audio|sound|speaker"
    r"|ratings?|valence|arousal|dominance|joystick|slider"
)
_MEASURED: Final = ("ecg", "bio", "gsr", "resp", "emg", "eog", "temperature")
_SENSORS: Final = re.compile(r"photo(diode|sensor|cell)s?|microphones?|triggers?")


def revealing_channels(info: StreamInfo) -> frozenset[str]:
    """Return the names of channels of triggers, stimulus sensors and ratings.

    They are those of kind ``stim``, and those that are named so, as ``Photodiode 1`` or
    a stream ``mic.audio``. Of a signal of the body only the names of sensors count.
    """
    role = _words(info.name.rpartition(".")[2])
    return frozenset(
        c.name
        for c in info.channels
        if c.kind == "stim"
        or any(
            (_SENSORS if c.kind in _MEASURED else _REVEALING).fullmatch(word)
            for word in (*role, *_words(c.name))
        )
    )


def _words(name: str) -> list[str]:
    return re.findall("[a-z]+", name.lower())
