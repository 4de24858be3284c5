"""LSL outlets of a process of their own, for tests to listen to, lose and kill.

Sample n of the EEG is taken 4 ms times n after the beginning; its channels are n and
the time. So are those of the EDA, 4 a second; each second has a marker that says when.
"""

import sys
import time

import pylsl


def outlet(
    kind: str,
    rate: float,
    form: int,
    channels: tuple[tuple[str, str], ...],
    prefix: str,
) -> pylsl.StreamOutlet:
    info = pylsl.StreamInfo(
        f"{prefix}-{kind}", kind, max(1, len(channels)), rate, form, f"{prefix}-{kind}"
    )
    rows = info.desc().append_child("channels")
    for label, unit in channels:
        row = rows.append_child("channel")
        row.append_child_value("label", label)
        row.append_child_value("unit", unit)
    return pylsl.StreamOutlet(info)


def main(prefix: str) -> None:
    eeg = outlet(
        "EEG",
        250,
        pylsl.cf_double64,
        (("n", "microvolts"), ("t", "microvolts")),
        prefix,
    )
    eda = outlet("GSR", 4, pylsl.cf_double64, (("n", "-6"), ("t", "-6")), prefix)
    markers = outlet("Markers", 0, pylsl.cf_string, (), prefix)
    begin = pylsl.local_clock()
    sent = [0, 0, 0]
    while True:
        now = pylsl.local_clock() - begin
        for i, (rate, out) in enumerate(((250, eeg), (4, eda), (1, markers))):
            while sent[i] / rate <= now:
                stamp = begin + sent[i] / rate
                row = [f"{stamp:.6f}"] if out is markers else [float(sent[i]), stamp]
                out.push_sample(row, stamp)
                sent[i] += 1
        time.sleep(0.01)


if __name__ == "__main__":
    main(sys.argv[1])
