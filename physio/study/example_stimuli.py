"""Pictures and sounds of the example study, drawn by code."""

import shutil
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

import physio.assets
from physio.core.block import Array

EXAMPLE: Final = Path(physio.assets.__file__).parent / "study_browser"
"""Folder of the example without its stimuli."""

RATE: Final = 44_100
"""Sampling rate of the sounds (Hz)."""

_SIZE: Final = (960, 720)
_HUES: Final = {"sea": (36, 96, 140), "leaf": (60, 122, 70), "ember": (176, 78, 40)}
_CHORDS: Final = {
    "low": (196.0, 247.0),
    "middle": (262.0, 330.0),
    "high": (523.0, 554.0),
}


@contextmanager
def browser_example() -> Iterator[Path]:
    """Yield the study file of the example, with its stimuli beside it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path in sorted(EXAMPLE.iterdir()):
            if path.is_file():
                shutil.copyfile(path, folder / path.name)
        write_stimuli(folder)
        yield folder / "study.toml"


def write_stimuli(folder: Path, seconds: float = 6.0) -> None:
    """Write six patterns (PNG) and three tones (WAV) into folders of a folder.

    Parameters
    ----------
    folder
        The folder.
    seconds
        Duration of each tone (s).
    """
    from PIL import Image

    for kind in ("patterns", "tones"):
        (folder / kind).mkdir(parents=True)
    for name, hue in _HUES.items():
        for waves in (2, 5):
            pixels = _pattern(waves, hue)
            Image.fromarray(pixels).save(folder / "patterns" / f"{name}-{waves}.png")
    for name, chord in _CHORDS.items():
        write_sound(folder / "tones" / f"{name}.wav", _tone(chord, seconds))


def write_sound(path: Path, samples: Array) -> None:
    """Write samples from -1 to 1 at `RATE` as a WAV file of one channel."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((32_767 * samples).astype("<i2").tobytes())


def _pattern(waves: int, hue: tuple[int, int, int]) -> "np.typing.NDArray[np.uint8]":
    """Return interfering rings in a hue, shape (height, width, 3)."""
    width, height = _SIZE
    x, y = np.meshgrid(np.linspace(-1.33, 1.33, width), np.linspace(-1, 1, height))
    rings = np.zeros_like(x)
    for centre in (-0.6, 0.6):
        rings += np.cos(2 * np.pi * waves * np.hypot(x - centre, y))
    light = 0.55 + 0.2 * rings
    return np.clip(light[..., None] * np.array(hue) * 1.6, 0, 255).astype(np.uint8)


def _tone(chord: tuple[float, ...], seconds: float) -> Array:
    """Return a chord that swells and fades, shape (n,)."""
    t = np.arange(int(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * f * t) for f in chord) / len(chord)
    return np.asarray(0.3 * tone * np.sin(np.pi * t / seconds) ** 0.5)
