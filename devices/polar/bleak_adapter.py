"""The computer's Bluetooth adapter, through bleak."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from devices.polar.ble_connection import Gatt

MODELS: Final = ("Polar H10", "Polar Sense")
"""Begin of the names of the sensors that are supported."""


def bleak() -> Any:
    """Return the package bleak, or raise ValueError with its installation command."""
    try:
        import bleak as package
    except ImportError:
        raise ValueError(
            "Bluetooth needs bleak: pip install 'physio-affect[ble]'"
        ) from None
    return package


async def peripheral(
    model: str, address: str, timeout: float, gone: Callable[[Any], None]
) -> Gatt:
    """Return the connection to a sensor, not yet open.

    Parameters
    ----------
    model
        Begin of its name, ``"Polar H10"``.
    address
        Its address, or the end of its name, as ``"8B3F2A1C"``; by default the first one
        of the model that answers.
    timeout
        Time to search for it (s).
    gone
        Function that is called when the connection is lost.

    Raises
    ------
    OSError
        If none answers.
    """
    package = bleak()

    def fits(device: Any, _: Any) -> bool:
        name = device.name or ""
        if address:
            return address.lower() in {device.address.lower(), name[-8:].lower()}
        return bool(name.startswith(model))

    device = await package.BleakScanner.find_device_by_filter(fits, timeout)
    if device is None:
        which = f"no {model} {address!r}" if address else f"no {model}"
        raise OSError(
            f"{which} answers within {timeout:g} s; is it worn, and not in use?"
        )
    client: Gatt = package.BleakClient(device, disconnected_callback=gone)
    return client


def nearby(
    seconds: float = 2.0, models: tuple[str, ...] = MODELS
) -> list[tuple[str, str]]:
    """Return name and address of each sensor in reach whose name begins with a model.

    The list is empty without Bluetooth.
    """
    try:
        scanner = bleak().BleakScanner
        there = asyncio.run(scanner.discover(seconds))
    except Exception:  # each system's stack raises its own errors without Bluetooth
        return []
    names = ((device.name or "", device.address) for device in there)
    return sorted((n, address) for n, address in names if n.startswith(models))


def discover(seconds: float = 2.0) -> list[str]:
    """Return name and address of each sensor in reach; none without Bluetooth."""
    return [f"{name} ({address})" for name, address in nearby(seconds)]
