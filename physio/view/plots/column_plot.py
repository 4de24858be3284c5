"""Figure of all channels of a recording, one below the other."""

from pathlib import Path

import numpy as np

from physio.core.recording import Recording
from physio.core.stitch import stitched
from physio.view.plots.envelope import envelope

_MOST = 24  # channels


def plot_channels(recording: Recording, path: Path) -> bool:
    """Draw the first 24 channels of a recording; return False if it has none.

    Parameters
    ----------
    recording
        The recording.
    path
        The image file; its suffix selects the format.
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib.figure import Figure

    rows = [
        (f"{name}\n{channel.name} ({channel.unit})", times, data[:, i])
        for name, (times, data) in (
            (n, stitched(blocks)) for n, blocks in recording.streams.items()
        )
        for i, channel in enumerate(recording.streams[name][0].info.channels)
        if len(times)
    ][:_MOST]
    if not rows:
        return False
    figure = Figure(figsize=(9, 1 + 0.9 * len(rows)), layout="constrained")
    axes = np.atleast_1d(figure.subplots(len(rows), sharex=True))
    for axis, (label, times, values) in zip(axes, rows, strict=True):
        axis.plot(*envelope(times, values), linewidth=0.7)
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[-1].set_xlabel("time (s)")
    figure.savefig(path, dpi=110)
    return True
