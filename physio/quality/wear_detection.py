"""Choice of the wear detection for the features of a session."""

from collections.abc import Iterable, Mapping
from typing import Final

from physio.core.block import StreamInfo
from physio.core.stage import Fork, Stage
from physio.quality.wristband import WearDetection

_INPUTS: Final = {
    "template_sqi": ("template_sqi", "bio"),
    "stability": ("stability", "gsr"),
    "temperature": ("level", "temperature"),
    "activity": ("activity", "misc"),
}
"""Inputs of `WearDetection` by setting: feature, and kind of the sensor's channel."""


def wear_stage(
    chains: Iterable[StreamInfo], sources: Mapping[str, StreamInfo]
) -> Stage:
    """Return the wear detection of the first wristband, an empty `Fork` without one.

    A wristband is a device that measures a pulse, and skin conductance or temperature.
    Its activity is used if it is measured too.

    Parameters
    ----------
    chains
        Outputs of the chains, under the names of the chains.
    sources
        Input stream of each chain.
    """
    devices: dict[str, dict[str, str]] = {}
    for info in chains:
        source = sources[info.name]
        columns = devices.setdefault(source.name.partition(".")[0], {})
        for setting, (feature, kind) in _INPUTS.items():
            measured = any(c.kind == kind for c in source.channels)
            if feature in info.names and measured:
                columns.setdefault(setting, f"{info.name}.{feature}")
    for columns in devices.values():
        if "template_sqi" in columns and {"stability", "temperature"} & set(columns):
            sqi, stability, temperature, activity = (
                columns.get(k, "") for k in _INPUTS
            )
            return WearDetection(sqi, stability, temperature, activity)
    return Fork()
