"""Device whose streams are corrected by the table of channels of a session file."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from physio.core.block import Block, StreamInfo
from physio.core.events import Item
from physio.core.protocols import Clock, Command, Device
from physio.io.channel_table import ChannelTable, CorrectedStream, trigger_decoder
from physio.io.triggers import TriggerDecoder


class CorrectedDevice(Device):
    """Device with corrected streams, for the computation and the recording alike.

    Parameters
    ----------
    device
        The device.
    table
        The corrections; each must be of a stream of the device.
    clock
        The session clock.
    """

    def __init__(self, device: Device, table: ChannelTable, clock: Clock) -> None:
        self.device, self.table, self.clock = device, table, clock
        self.name, self.participant = device.name, device.participant
        self.reconnect_after = device.reconnect_after
        self._corrected: dict[str, CorrectedStream] = {}
        self._decoders: dict[str, TriggerDecoder] = {}

    def __enter__(self) -> Self:
        self.device.__enter__()
        try:
            infos = self.device.streams
            self._corrected = self.table.corrected(infos)
            self._decoders = {}
            taken: dict[str, StreamInfo] = {info.name: info for info in infos}
            for name, stream in self._corrected.items():
                if (decoder := trigger_decoder(stream, taken)) is not None:
                    self._decoders[name] = decoder
                    taken[decoder.name] = decoder.events
        except ValueError:
            self.device.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.device.__exit__(kind, error, trace)

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """The device's streams, corrected, and events of new trigger columns."""
        infos = (
            self._corrected[info.name].info if info.name in self._corrected else info
            for info in self.device.streams
        )
        return (*infos, *(decoder.events for decoder in self._decoders.values()))

    @property
    def ended(self) -> bool:
        """True once the device has ended."""
        return self.device.ended

    @property
    def is_replay(self) -> bool:
        """Value of the device's own `is_replay`."""
        return self.device.is_replay

    @property
    def declares_silence(self) -> bool:
        """Value of the device's own `declares_silence`."""
        return self.device.declares_silence

    def read(self) -> list[Item]:
        """Return the device's items, corrected."""
        items: list[Item] = []
        for item in self.device.read():
            stream = self._corrected.get(item.info.name)
            if stream is None or not isinstance(item, Block):
                items.append(item)
                continue
            block = stream.block(item)
            items.append(block)
            decoder = self._decoders.get(item.info.name)
            if decoder is not None and len(codes := decoder.decode(block)):
                items.append(codes)
        return items

    def notices(self) -> Sequence[str]:
        """Return the device's notices, and those on new trigger columns."""
        notices = list(self.device.notices())
        return notices + [n for d in self._decoders.values() for n in d.notices()]

    def commands(self) -> Sequence[Command]:
        """Return the device's commands."""
        return self.device.commands()

    def reply(self, command: Command, refusal: str) -> None:
        """Pass the result of a command on to the device."""
        self.device.reply(command, refusal)


def corrected_devices(
    devices: Sequence[Device], table: ChannelTable, clock: Clock
) -> list[Device]:
    """Return devices whose streams the table corrects.

    Raises
    ------
    ValueError
        If the table names a stream of no device.
    """
    names = [device.name for device in devices]
    for stream in table.streams:
        if stream.partition(".")[0] not in names:
            raise ValueError(
                f"{table.at}: the stream {stream!r} is of no device; there is "
                f"{', '.join(names) or 'none'}: a table is called "
                "[channels.DEVICE.STREAM]"
            )
    parts = [(device, table.of(device.name)) for device in devices]
    return [CorrectedDevice(d, part, clock) if part else d for d, part in parts]
