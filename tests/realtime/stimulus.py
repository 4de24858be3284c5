"""Stimulus software of its own process: markers at the flip, light on the screen after.

The light comes `LATE` s behind each marker, on a channel of 500 Hz, as a photodiode in
the corner of a screen would see it. The marker has the stamp that LSL gives it when it
is pushed, as a stimulus program pushes it.
"""

import sys
import time

import pylsl

LATE, RATE = 0.020, 500


def main(prefix: str) -> None:
    light = pylsl.StreamOutlet(
        pylsl.StreamInfo(
            f"{prefix}-light",
            "Photodiode",
            1,
            RATE,
            pylsl.cf_double64,
            f"{prefix}-light",
        )
    )
    flips = pylsl.StreamOutlet(
        pylsl.StreamInfo(
            f"{prefix}-flips", "Markers", 1, 0, pylsl.cf_string, f"{prefix}-flips"
        )
    )
    begin = pylsl.local_clock()
    sent, flip, on = 0, 1.0, -1.0
    while True:
        now = pylsl.local_clock()
        if now - begin >= flip:
            flips.push_sample([f"flip {flip:g}"])
            on, flip = now, flip + 0.5
        while begin + sent / RATE <= now - 2 * LATE:  # what the light was is known
            stamp = begin + sent / RATE
            lit = 0.0 <= stamp - (on + LATE) < 0.2
            light.push_sample([float(lit)], stamp)
            sent += 1
        time.sleep(0.002)


if __name__ == "__main__":
    main(sys.argv[1])
