"""LSL outlets with the clocks, rates and packets that devices have.

``clock_sender.py PREFIX SECONDS MODE...`` runs all modes at once. The first channel
counts, the second is the true time (s, LSL clock).
"""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pylsl

clock = pylsl.local_clock


@dataclass
class Mode:
    """One outlet.

    Parameters
    ----------
    rate, nominal
        Actual and nominal rate (Hz); the nominal one is the actual one by default.
    size
        Samples in a packet.
    stamp
        Stamp of a sample from its true time (s) and number; None for LSL's own.
    form, channels, kind
        Format, number of channels and type.
    begin
        Delay of the first sample (s).
    skip
        Tells whether a packet that begins with a sample's number is lost.
    delay
        Delay of every packet (s), from its number.
    """

    rate: float = 250.0
    nominal: float | None = None
    size: int = 5
    stamp: Callable[[float, int], float] | None = lambda t, _: t
    form: int = pylsl.cf_double64
    channels: int = 2
    kind: str = "EEG"
    begin: float = 0.0
    skip: Callable[[int], bool] = lambda _: False


UNIX = time.time() - clock()

MODES = {
    "slow": Mode(249.7, 250),
    "half": Mode(128, 256, 4),
    "tenth": Mode(225, 250),
    "single": Mode(245, 250, 1, stamp=None),
    "bursts": Mode(300, size=9, stamp=None),
    "muse12": Mode(256, size=12, stamp=None),
    "irregular": Mode(128, 0, 4),
    "int16": Mode(1000, size=20, stamp=None, form=pylsl.cf_int16, channels=1),
    "big": Mode(2048, size=64, stamp=None, form=pylsl.cf_float32, channels=128),
    "unix": Mode(stamp=lambda t, _: t + UNIX),
    "milliseconds": Mode(stamp=lambda t, _: 1e3 * (t + UNIX)),
    "jump": Mode(stamp=lambda t, n: t + (3600 if n >= 1500 else 0)),
    "back": Mode(stamp=lambda t, n: t - (40 if n >= 1500 else 0)),
    "dropping": Mode(skip=lambda n: n >= 1000 and n // 5 % 20 == 7),
    "late": Mode(begin=4.0),
    "rated-markers": Mode(1.0, 1000.0, 1, form=pylsl.cf_int32, kind="Markers"),
    "unix-markers": Mode(2.0, 0, 1, lambda t, _: t + UNIX, pylsl.cf_string, 1,
                         "Markers"),
}  # fmt: skip


def outlet(prefix: str, name: str, mode: Mode) -> pylsl.StreamOutlet:
    nominal = mode.rate if mode.nominal is None else mode.nominal
    info = pylsl.StreamInfo(
        name, mode.kind, mode.channels, nominal, mode.form, f"{prefix}-{name}"
    )
    rows = info.desc().append_child("channels")
    for i in range(mode.channels):
        row = rows.append_child("channel")
        row.append_child_value("label", f"c{i}")
        row.append_child_value("unit", "microvolts")
    return pylsl.StreamOutlet(info)


def send(out: pylsl.StreamOutlet, mode: Mode, seconds: float) -> None:
    time.sleep(mode.begin)
    begin, n = clock(), 0
    while clock() - begin < seconds:
        wait = begin + (n + mode.size) / mode.rate - clock()
        if wait > 0:
            time.sleep(wait)
        rows = []
        for k in range(n, n + mode.size):
            t = begin + k / mode.rate
            values = [float(k), t, *[0.0] * (mode.channels - 2)][: mode.channels]
            if mode.form == pylsl.cf_string:
                values = [f"{clock():.6f}"]
                t = clock()
            elif mode.form in {pylsl.cf_int16, pylsl.cf_int32}:
                values = [int(v) for v in values]
            rows.append((values, t, k))
        if not mode.skip(n):
            for values, t, k in rows:
                if mode.stamp is None:
                    out.push_sample(values)
                else:
                    out.push_sample(values, mode.stamp(t, k))
        n += mode.size


def main(prefix: str, seconds: float, names: list[str]) -> None:
    outlets = {name: outlet(prefix, name, MODES[name]) for name in names}
    threads = [
        threading.Thread(target=send, args=(out, MODES[name], seconds))
        for name, out in outlets.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(5)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
