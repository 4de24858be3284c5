"""Beats and responses of a recording, with edits applied again after each edit."""

from typing import Final

import pandas as pd

from physio.core.edits import Edits
from physio.core.recording import Recording
from physio.offline.analysis import analyze
from physio.offline.apply_edits import edit_beats, edit_scrs
from physio.offline.whole_heart import BEAT_COLUMNS
from physio.offline.whole_record import WholeSignal, joined, whole_signal
from physio.offline.whole_skin import SCR_COLUMNS

_KINDS: Final = ("gsr", "ecg", "bio")


class EditMarks:
    """Beats and responses, detected once.

    Parameters
    ----------
    recording
        The recording.

    Notes
    -----
    A bad span removes the marks in it. The analysis of a file detects again beside it,
    so that marks next to a bad span may differ there.
    """

    def __init__(self, recording: Recording) -> None:
        self._tracks: dict[tuple[str, str], tuple[str, pd.DataFrame]] = {}
        self._signals: dict[tuple[str, str], WholeSignal] = {}
        try:
            analysis = analyze(recording, only=_KINDS)
        except ValueError:  # nothing that has beats or responses
            self._beats = pd.DataFrame(columns=list(BEAT_COLUMNS))
            self._scrs = pd.DataFrame(columns=list(SCR_COLUMNS))
            return
        self._beats, self._scrs = analysis.beats, analysis.scrs
        for frame in analysis.signals.values():
            place = str(frame.attrs["stream"]), str(frame.attrs["channel"])
            self._tracks[place] = str(frame.attrs["kind"]), frame
            if frame.attrs["kind"] == "heart" and place[0] in recording.streams:
                blocks = recording.streams[place[0]]
                channel = next(c for c in blocks[0].info.channels if c.name == place[1])
                self._signals[place] = whole_signal(blocks, channel)

    def __call__(self, edits: Edits) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return beats and responses with edits applied."""
        beats, scrs = [], []
        for place, (kind, frame) in self._tracks.items():
            if kind == "heart":
                mine = _of(self._beats, place)
                signal = self._signals.get(place)
                beats.append(edit_beats(mine, edits, *place, signal).table)
            else:
                mine = _of(self._scrs, place)
                column = frame["conductance"]
                scrs.append(edit_scrs(mine, edits, *place, column).table)
        return joined(beats, BEAT_COLUMNS), joined(scrs, SCR_COLUMNS)


def _of(table: pd.DataFrame, place: tuple[str, str]) -> pd.DataFrame:
    rows = (table["stream"] == place[0]) & (table["channel"] == place[1])
    return table[rows].reset_index(drop=True)
