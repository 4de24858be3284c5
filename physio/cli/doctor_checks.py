"""Checks of the computer for ``physio doctor``."""

import os
import socket
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from physio.core.installation import other_devices
from physio.core.operating_system import monotonic, suspended

LSL_PORTS: Final = range(16572, 16604)
CONFIG: Final = Path(__file__).parents[1] / "assets" / "lsl_api.cfg"
OTHERS: Final = ("lsl_api.cfg", "~/lsl_api/lsl_api.cfg", "/etc/lsl_api/lsl_api.cfg")


@dataclass(frozen=True)
class Finding:
    """One line of ``physio doctor``."""

    ok: bool
    text: str
    help: str = ""


def configure_lsl(environ: MutableMapping[str, str] = os.environ) -> str:
    """Set this package's LSL settings unless the user has any; return the source."""
    files = (
        str(Path(p).expanduser()) for p in OTHERS if Path(p).expanduser().is_file()
    )
    if "LSLAPICFG" not in environ:
        existing = next(files, None)
        if existing is not None:
            return existing
        environ["LSLAPICFG"] = str(CONFIG)
    return environ["LSLAPICFG"]


def clocks() -> Finding:
    """Compare the clocks: setting the date causes a jump in recordings."""
    slept = max(0.0, suspended())
    began = monotonic()
    steps = {monotonic() for _ in range(1000)}
    text = f"clocks: {len(steps)} of 1000 readings differ, slept {slept:.0f} s so far"
    coarse = len(steps) < 10 and monotonic() - began > 0
    return Finding(not coarse, text, "Stamps will be coarse here.")


def namesakes() -> Finding:
    """Check that no other package is, or has overwritten, our ``devices``."""
    hidden = other_devices()
    owners = sorted({*packages_distributions().get("devices", ())} - {"physio-affect"})
    if hidden is None and owners:
        hidden = (
            f"another distribution installs a package 'devices': {', '.join(owners)}"
        )
    return Finding(
        hidden is None,
        hidden or "the package 'devices' is the one of physio-affect",
        "Run `pip uninstall` on the other one, then `pip install --force-reinstall "
        "--no-deps physio-affect`.",
    )


def kernels() -> Finding:
    """Check that compiled kernels can be stored."""
    from physio.dsp import iir
    from physio.dsp.jit import cache_folder

    folder = cache_folder(iir.run)
    if folder is None:
        return Finding(
            False,
            "no folder for compiled kernels can be written: they are compiled in "
            "memory, so the estimates of every session begin minutes late",
            "Set NUMBA_CACHE_DIR to a folder that you can write.",
        )
    return Finding(True, f"compiled kernels are stored in {folder}")


def ports() -> Finding:
    """Check that LSL has free ports."""
    free = sum(map(_is_free, LSL_PORTS))
    text = f"{free} of {len(LSL_PORTS)} LSL ports free (16572 to 16603)"
    return Finding(free > 4, text, "Close programs that send by LSL.")


def permissions() -> Iterator[Finding]:
    """Check that sessions can be written here, and serial ports opened."""
    folder = Path.cwd()
    writable = os.access(folder, os.W_OK)
    yield Finding(
        writable,
        f"{folder} can {'' if writable else 'not '}be written",
        "Sessions go into ./sessions: change to another folder, or say --out.",
    )
    for path in sorted(Path("/dev").glob("tty[UA]*[0-9]")):
        if not path.name.startswith(("ttyUSB", "ttyACM")):
            continue
        allowed = os.access(path, os.R_OK | os.W_OK)
        text = f"serial port {path} can {'' if allowed else 'not '}be opened"
        yield Finding(allowed, text, "Join its group: sudo usermod -aG dialout $USER")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
