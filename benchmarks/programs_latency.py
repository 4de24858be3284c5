"""Time from the arrival of a sample to each kind of client of a session."""

import bisect
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

SECONDS: Final = 60.0
START: Final = 10.0  # s in which rows catch up with the loading of kernels
CLIENTS: Final = ("function", "OSC", "WebSocket", "server-sent events", "LSL")
Times = dict[str, list[tuple[float, float]]]


def rows(data: Path | None) -> list[dict[str, Any]]:  # noqa: ARG001 needs no data
    """Return p50 and p99 for each kind of client, all at once in one session (ms)."""
    with tempfile.TemporaryDirectory() as folder:
        arrivals, times = _session(Path(folder))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else np.nan
    return [
        _row(client, arrivals, times.get(client, []), load) for client in CLIENTS
    ] + [
        {
            "work": "request GET /latest, start to answer",
            "peer": "",
            **_percentiles([1e3 * taken for _, taken in times.get("GET /latest", [])]),
            "load": round(load, 1),
        }
    ]


def _session(folder: Path) -> tuple[list[tuple[float, float]], Times]:
    """Run a session; return row and arrival times, and what the clients received."""
    from devices.simulated import Headset, Wristband
    from physio.core.block import Block
    from physio.core.protocols import Device, WallClock
    from physio.online.session import Session
    from physio.online.session_config import SessionConfig
    from physio.sinks.background import BackgroundSink
    from physio.sinks.callback import Callback
    from physio.sinks.lsl import Lsl
    from physio.sinks.osc import Osc
    from physio.sinks.xdf import Xdf
    from physio.view.http_api import Http

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    times: Times = defaultdict(list)

    def called(message: dict[str, Any]) -> None:
        if message["type"] == "row":
            times["function"].append((message["time"], time.monotonic()))

    clock = WallClock()
    devices: list[Device] = [
        Headset(name="head", clock=clock, seconds=3600, ground_truth=False),
        Wristband(name="band", clock=clock, seconds=3600, ground_truth=False),
    ]
    sinks = [Callback(called), Osc(port=port), Http(folder, clock=clock), Lsl()]
    background = [BackgroundSink(sink) for sink in sinks]
    session = Session(
        SessionConfig().plan, devices, [Xdf(folder), *background], clock,
        seconds=SECONDS,
    )  # fmt: skip
    arrivals: list[tuple[float, float]] = []
    newest, client = time.monotonic(), None
    with session:
        for item in session:
            if item.info.name == "estimates" and isinstance(item, Block):
                arrivals += [(t, newest) for t in item.times.tolist()]
                if client is None:
                    command = [sys.executable, __file__, str(folder), str(port)]
                    client = subprocess.Popen(command, stdout=subprocess.PIPE)
            elif item.info.name in {"head.eeg", "band.bvp", "band.eda", "band.acc"}:
                newest = time.monotonic()
    if client is None:
        raise ValueError("the session had no estimate")
    output, _ = client.communicate(timeout=30)
    times.update({k: [tuple(x) for x in v] for k, v in json.loads(output).items()})
    return arrivals, times


def _row(
    client: str, arrivals: list[tuple[float, float]], received: Any, load: float
) -> dict[str, Any]:
    known = sorted(arrivals)
    begin = known[0][0] + START
    ticks = [t for t, _ in known]
    taken = []
    for tick, at in received:
        i = min(bisect.bisect_left(ticks, tick - 0.01), len(known) - 1)
        if tick >= begin and abs(ticks[i] - tick) < 0.01:
            taken.append(1e3 * (at - known[i][1]))
    work = f"sample to client, through all computation: {client}"
    return {"work": work, "peer": "", **_percentiles(taken), "load": round(load, 1)}


def _percentiles(taken: list[float]) -> dict[str, Any]:
    p50, p99 = np.percentile(taken, [50, 99]) if taken else (np.nan, np.nan)
    return {
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "rows": len(taken),
    }


def _follow_events(at: dict[str, str], times: Times) -> None:
    link = http.client.HTTPConnection(at["url"].removeprefix("http://"))
    link.request("GET", f"/events?streams=estimates&token={at['look']}")
    for line in link.getresponse():
        now = time.monotonic()
        if line.startswith(b'data: {"type": "row"'):
            times["server-sent events"].append((json.loads(line[6:])["time"], now))


def _follow_osc(port: int, times: Times) -> None:
    from pythonosc.osc_bundle import OscBundle

    first = None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", port))
        while True:
            data, now = udp.recv(65536), time.monotonic()
            for message in OscBundle(data):
                if message.address == "/physio/estimates/time":
                    first = message.params[0] if first is None else first
                    times["OSC"].append((message.params[0], now))


def _follow_socket(at: dict[str, str], times: Times) -> None:
    import asyncio

    from tornado.websocket import websocket_connect

    async def follow() -> None:
        url = f"{at['socket']}?streams=estimates&token={at['look']}"
        from tornado.httpclient import HTTPRequest

        request = HTTPRequest(url, headers={"Origin": at["url"]})
        link = await websocket_connect(request)
        while (text := await link.read_message()) is not None:
            now, message = time.monotonic(), json.loads(text)
            if message["type"] == "row":
                times["WebSocket"].append((message["time"], now))

    asyncio.run(follow())


def _follow_lsl(_: object, times: Times) -> None:
    from pylsl import StreamInlet, resolve_byprop

    streams = resolve_byprop("source_id", "physio-affect-estimates", timeout=10)
    inlet = StreamInlet(streams[0])
    while True:
        _, stamp = inlet.pull_sample()
        times["LSL"].append((stamp, time.monotonic()))


def _poll(at: dict[str, str], times: Times) -> None:
    link = http.client.HTTPConnection(at["url"].removeprefix("http://"))
    headers = {"Authorization": f"Bearer {at['look']}"}
    while True:
        begun = time.monotonic()
        try:
            link.request("GET", "/latest", headers=headers)
            link.getresponse().read()
        except (OSError, http.client.HTTPException):  # the session has ended
            return
        times["GET /latest"].append((begun, time.monotonic() - begun))
        time.sleep(0.2)


def _clients(folder: Path, port: int) -> None:
    """Follow a session with every kind of client until it ends; print the times."""
    at = json.loads((folder / "http.json").read_text("utf-8"))
    times: Times = defaultdict(list)
    work: list[tuple[Callable[..., None], Any]] = [
        (_follow_events, at), (_follow_osc, port), (_follow_socket, at),
        (_follow_lsl, None), (_poll, at),
    ]  # fmt: skip
    for function, place in work:
        threading.Thread(target=function, args=(place, times), daemon=True).start()
    while (folder / "http.json").exists():
        time.sleep(0.5)
    begin = min((t for t, _ in times["server-sent events"]), default=0.0)
    times["OSC"] = _absolute(times["OSC"], times["server-sent events"], begin)
    print(json.dumps(times), flush=True)
    os._exit(0)


def _absolute(osc: Any, known: Any, begin: float) -> list[tuple[float, float]]:
    """Return OSC's times, since the first row, as times of the session clock."""
    ticks = np.array([t for t, _ in known])
    at = np.array([t for _, t in known])
    shifts = [ticks[np.abs(at - now).argmin()] - t for t, now in osc] or [begin]
    shift = float(np.median(shifts))
    return [(float(ticks[np.abs(ticks - t - shift).argmin()]), now) for t, now in osc]


if __name__ == "__main__":
    _clients(Path(sys.argv[1]), int(sys.argv[2]))
