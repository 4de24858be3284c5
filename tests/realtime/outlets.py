"""LSL outlets of a process of their own, by a description on the command line.

A JSON list of tables: name, type, rate, source_id, and channels as rows of label, unit
and type, or the number of channels without a description.
"""

import json
import sys
import time
from typing import Any

import pylsl


def outlet(table: dict[str, Any]) -> pylsl.StreamOutlet:
    channels = table["channels"]
    n = channels if isinstance(channels, int) else len(channels)
    info = pylsl.StreamInfo(
        table["name"], table["type"], n, table["rate"],
        table.get("format", "float32"), table.get("source_id", ""),
    )  # fmt: skip
    rows = info.desc().append_child("channels") if channels != n else None
    for label, unit, kind in channels if rows is not None else ():
        row = rows.append_child("channel")
        for key, text in (("label", label), ("unit", unit), ("type", kind)):
            row.append_child_value(key, text)
    return pylsl.StreamOutlet(info)


def main(tables: list[dict[str, Any]]) -> None:
    outlets = [(outlet(t), t["rate"], [0]) for t in tables]
    print("ready", flush=True)  # noqa: T201 for the test that waits
    begin = time.monotonic()
    while True:
        for out, rate, sent in outlets:
            while rate and sent[0] < (time.monotonic() - begin) * rate:
                n = out.get_info().channel_count()
                out.push_sample([5.0 + (sent[0] % 7) / 10] * n)
                sent[0] += 1
        time.sleep(0.01)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
