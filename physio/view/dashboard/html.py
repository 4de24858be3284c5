"""What the page says in words and tables: HTML, every stranger's text escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import numpy as np

from physio.core.block import Array, Origin
from physio.core.recording import COMPUTED
from physio.view.dashboard import attribution
from physio.view.dashboard.figures.theme import plain
from physio.view.dashboard.figures.vad import missing, withheld
from physio.view.dashboard.session_state import SessionState, Source
from physio.view.labels import DIMENSIONS, MEANING, labels
from physio.view.terminal.sparklines import clock, number

_SPARK: Final = 60.0  # s of a feature's course
_MOST: Final = 8  # features whose course is drawn


def safe(text: str, longest: int = 60) -> str:
    """Return a stranger's text for a page: short, printable, nothing of it markup."""
    return escape(plain(text, longest), quote=True)


def badges(scene: SessionState) -> str:
    """Return what cannot be missed."""
    found = [("origin", label.badge, label.meaning) for label in labels(scene.infos)]
    told = withheld(scene)
    silent = [d for d in DIMENSIONS if missing(scene, d)]
    if told:
        found.append(("abstains", "ABSTAINING", told))
    elif silent:
        names = ", ".join(silent)
        found.append(("abstains", f"ABSTAINING: {names}", missing(scene, silent[0])))
    lost = [n for n, s in scene.sources.items() if s.lost(scene.now)]
    if lost and not scene.ended and scene.at is None:
        found.append(("lost", f"LOST: {', '.join(lost)}", "nothing comes of it"))
    if scene.muted:
        found.append(("muted", f"MUTED: {', '.join(scene.muted)}", "not computed"))
    if scene.ended:
        found.append(("ended", "ENDED", scene.ended))
    return "".join(
        f'<span class="badge {kind}" title="{safe(meaning, 120)}">{safe(badge, 80)}'
        "</span>"
        for kind, badge, meaning in found
    )


def state(scene: SessionState) -> str:
    """Return how long the session goes on, of whom, and whether it is recorded."""
    told = clock(scene.now - scene.begin)
    name = scene.who or scene.participant
    participant = f"<b>{safe(name)}</b> " if name else ""
    if scene.at is not None:
        return f'{participant}<span class="time">{told}</span> recorded'
    rec = (
        f'<span class="rec" title="{safe(scene.recorded_at, 200)}">● REC</span>'
        if scene.recorded_at and not scene.ended
        else '<span class="norec">not recorded</span>'
    )
    return f'{participant}<span class="time">{told}</span> {rec}'


def estimates(scene: SessionState) -> str:
    """Return each dimension in figures, with its interval and who says so."""
    rows = []
    track = scene.estimates
    for name in DIMENSIONS:
        gone = missing(scene, name)
        if gone or track is None:
            told = f'<td colspan="2" class="none">{safe(gone, 90)}</td>'
        else:
            mean, sd = (track.last(n, scene.now) for n in (name, f"{name}.sd"))
            shares = _shares(scene, name)
            told = f'<td class="figure">{number(mean, sd)}</td><td>{shares}</td>'
        rows.append(f'<tr class="{name}"><th scope="row">{name}</th>{told}</tr>')
    late = scene.now - track.newest if track is not None and scene.at is None else 0.0
    old = f'<p class="warn">The newest of these is {late:.0f} s old.</p>'
    return (
        f'<table class="estimates">{"".join(rows)}</table>{old if late > 2 else ""}'
        f'<p class="meaning">{MEANING}</p>'
    )


def _shares(scene: SessionState, name: str) -> str:
    """Return by how much each modality moved a dimension."""
    moved = attribution.contributions(scene, name)
    total = sum(map(abs, moved.values()))
    bars = "".join(
        f'<i class="share s{k % 4}" style="width:{100 * abs(v) / total:.0f}%" '
        f'title="{safe(n)} moved it by {v:+.2f}"></i>'
        for k, (n, v) in enumerate(moved.items())
    )
    told = ", ".join(f"{safe(n, 14)} {v:+.2f}" for n, v in moved.items())
    return (
        f'<span class="bar">{bars}</span><small title="{told}">'
        f"{told or 'as of anybody'}</small>"
    )


def rests(scene: SessionState) -> str:
    """Return what the estimates rest on: weights, time, input, movement, coverage."""
    parts = []
    span = attribution.support(scene)
    if np.isfinite(span):
        parts.append(f"Rests on the last <b>{span:.0f} s</b>, drawn twice a second.")
    share = attribution.usable(scene)
    if np.isfinite(share):
        low = ' class="warn"' if share < 0.8 else ""
        told = f"Usable input <b>{100 * share:.0f} %</b> of the last minute."
        parts.append(f"<span{low}>{told}</span>")
    name, value = attribution.moving(scene)
    if np.isfinite(value):
        flag = (
            f'<b class="warn">▲ MOVING</b> {value:.2f} g'
            if attribution.moves(value)
            else f"still ({value:.2f} g)"
        )
        parts.append(f"{safe(name.partition('.')[0])}: {flag}.")
    said = "".join(f"<p>{p}</p>" for p in parts[:1])
    said += f"<p>{' '.join(parts[1:])}</p>" if parts[1:] else ""
    return said + "".join(_expert(scene, e) for e in attribution.experts(scene.config))


def _expert(scene: SessionState, expert: attribution.Expert) -> str:
    card, name = expert.card, expert.name
    kind = "" if card.origin is Origin.MEASURED else " demo"
    lacks = [d for d in DIMENSIONS if d not in card.supports]
    no = f" No training data has {' or '.join(lacks)}." if lacks else ""
    held = [
        f"{d[0].upper()} {_first(scene, d, 80)}"
        for d in DIMENSIONS
        if d in card.supports
    ]
    measured = [h for h in held if not h.endswith(" ")]
    coverage = (
        f"80 % intervals held, in participants left out: {', '.join(measured)}."
        if measured
        else "The coverage of its intervals was never measured: none is shown."
    )
    return (
        f'<p class="expert{kind}" title="{safe(card.data, 300)}"><b>{safe(name)}</b>: '
        f"trained on {safe(card.data.partition(' (')[0], 70)}.{safe(no, 90)} "
        f"<small>{coverage}</small></p>"
    )


def _first(scene: SessionState, dimension: str, share: int) -> str:
    figure = attribution.interval(scene, dimension).get(share, "")
    at, _, rest = figure.partition(" (")
    try:
        low, high = (round(100 * float(v)) for v in rest.rstrip(")").split(" to "))
        return f"{100 * float(at):.0f} % [{low}, {high}]"
    except ValueError:
        return ""


def courses(scene: SessionState) -> str:
    """Return the course of the raw features that the experts read."""
    track, names = scene.features, attribution.read(scene)
    if track is None or not names:
        return ""
    single = [n for n in names if ".de." not in n][:_MOST]
    items = []
    for name in single:
        times, values = track.column(name, scene.now - _SPARK, scene.now + 1e-6)
        unit = track.info.channels[track.info.names.index(name)].unit
        newest = values[-1] if len(values) else np.nan
        newest = 0.0 if abs(newest) < 1e-3 else newest
        told = (
            f"{newest:.3g} {unit if unit != '1' else ''}"
            if np.isfinite(newest)
            else "none"
        )
        items.append(
            f"<li><span>{safe(name, 18)}</span>{_spark(times, values)}"
            f"<b>{safe(told, 12)}</b></li>"
        )
    return f'<ul class="courses">{"".join(items)}</ul>'


def _spark(times: Array, values: Array) -> str:
    """Return a line of a feature over time, broken where it is missing."""
    y, t = values[::4], times[::4]
    good = np.isfinite(y)
    if good.sum() < 2:
        return '<svg viewBox="0 0 100 20" aria-hidden="true"></svg>'
    low, high = y[good].min(), y[good].max()
    size = max(high - low, 1e-9)
    x = 100 * (t - t[0]) / _SPARK
    path, down = [], False
    for a, b, ok in zip(x, 18 - 16 * (y - low) / size, good, strict=True):
        if ok:
            path.append(f"{'L' if down else 'M'}{a:.1f},{b:.1f}")
        down = bool(ok)
    return (
        '<svg viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="{"".join(path)}"/></svg>'
    )


def streams(scene: SessionState, *, controls: bool) -> str:
    """Return each stream's rate, age, loss and battery."""
    head = "".join(
        f'<th scope="col">{h}</th>'
        for h in ("stream", "Hz", "newest", "lost 60 s", "good", "")
    )
    rows = [_stream(scene, n, s, controls=controls) for n, s in scene.sources.items()]
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _stream(scene: SessionState, name: str, source: Source, *, controls: bool) -> str:
    now, meter = scene.now, source.meter
    if scene.at is not None:
        return _recorded(now, name, source)
    rate, nominal = meter.rate(now), float(meter.info.rate)
    age = meter.age(now)
    lost, share = meter.loss(now)
    good = meter.quality().share
    live = scene.at is None
    gone = live and not scene.ended and source.lost(now)
    told = "never" if age != age else f"{age:.2f} s" if age < 10 else f"{age:.0f} s"
    off = np.isfinite(rate) and abs(rate / nominal - 1) > 0.05
    muted = name in scene.muted
    what, said = ("unmute", "hear") if muted else ("mute", "mute")
    button = (
        f'<button data-what="{what}" data-label="{safe(name)}" '
        f'aria-label="{said} {safe(name)}">{said}</button>'
        if controls
        else ""
    )
    battery = _battery(scene, name)
    cells = (
        f"{'…' if rate != rate else f'{rate:.1f}'} <small>of {nominal:g}</small>",
        told if live else "",
        f"{lost} <small>{100 * share:.1f} %</small>" if lost else "0",
        "…" if good != good else f"{100 * good:.0f} %",
        button,
    )
    kinds = ("warn" if off and live else "", "lost" if gone else "",
             "lost" if share > 0.05 else "warn" if lost else "",
             "warn" if good < 0.9 else "", "")  # fmt: skip
    tds = "".join(
        f'<td class="{k}">{c}</td>' for k, c in zip(kinds, cells, strict=True)
    )
    mark = '<b class="lost">LOST</b> ' if gone else "○ " if muted else ""
    return f'<tr><th scope="row">{mark}{safe(name, 24)}{battery}</th>{tds}</tr>'


def _recorded(now: float, name: str, source: Source) -> str:
    """Return what came of a recorded stream, and how much of it is there now."""
    meter = source.meter
    _, data = source.track.window(now - 10.0, now + 1e-6)
    good = f"{100 * np.isfinite(data).mean():.0f} %" if data.size else "none"
    share = meter.lost / max(1, meter.lost + meter.samples)
    cells = (
        f"{float(meter.info.rate):g}",
        "",
        f"{meter.lost} <small>{100 * share:.1f} %, in all</small>",
        good,
        "",
    )
    tds = "".join(f"<td>{c}</td>" for c in cells)
    return f'<tr><th scope="row">{safe(name, 24)}</th>{tds}</tr>'


def _battery(scene: SessionState, name: str) -> str:
    """Return how full the battery of a stream's device is, if it tells."""
    device = name.partition(".")[0]
    for other, source in scene.sources.items():
        if other.partition(".")[0] == device and "battery" in other.lower():
            _, data = source.track.window(-np.inf, scene.now + 1)
            if len(data):
                return f' <small class="battery">battery {data[-1, 0]:.3g}</small>'
    return ""


def latency(scene: SessionState, ages: Sequence[float]) -> str:
    """Return where the time goes from the body to the eye."""
    rows = [
        (safe(n, 20), f"{1e3 * float(np.median(s.late)):.0f} ms", "")
        for n, s in scene.sources.items()
        if len(s.late) and scene.at is None
    ]
    wanted = set(attribution.read(scene))
    channels = scene.features.info.channels if scene.features else ()
    delays = [c.delay for c in channels if c.name in wanted]
    if delays:
        rows.append(("feature lag", f"{max(delays):.2f} s", ""))
    if scene.compute:
        half, most = scene.compute
        rows.append(("computing", f"{half:.1f} ms", f"p99 {most:.1f}"))
    if scene.behind:
        half, most = np.percentile(scene.behind, [50, 99])
        rows.append(
            (
                "to the estimate",
                f"{1e3 * half:.0f} ms",
                f"p99 {1e3 * most:.0f}",
            )
        )
    if len(ages) and scene.at is None:
        half, most = np.percentile(ages, [50, 95])
        rows.append(("to this page", f"{half:.0f} ms", f"p95 {most:.0f}"))
    if scene.dropped:
        rows.append(("left out here", str(scene.dropped), ""))
    return _table(rows)


def _table(rows: Iterable[tuple[str, str, str]]) -> str:
    told = "".join(
        f'<tr><th scope="row">{a}</th><td>{b}</td><td><small>{c}</small></td></tr>'
        for a, b, c in rows
    )
    return f"<table>{told}</table>"


def happened(scene: SessionState, most: int = 12) -> str:
    """Return the newest lines of what happened, the newest first."""
    lines = [
        f'<li class="{entry.style}"><time>{clock(entry.time - scene.begin)}</time> '
        f"{safe(entry.text, 90)}"
        f"{f' <small>{entry.times} times</small>' if entry.times > 1 else ''}</li>"
        for entry in reversed(scene.log.last(most))
        if entry.time <= scene.now + 1
    ]
    return f"<ul>{''.join(lines)}</ul>"


def rest(scene: SessionState) -> str:
    """Return how the rest goes on against which the participant is measured."""
    left = scene.rest_left
    since, length = scene.resting()
    if not length:
        return "No rest is needed in this session."
    if not np.isfinite(since):
        return f"Rest of {length:.0f} s: not begun, no input yet."
    if left > 0:
        done = 100 * (1 - left / length)
        bar = f'<i class="share s0" style="width:{done:.0f}%"></i>'
        return (
            f"Rest: <b>{clock(left)}</b> left of {length:.0f} s."
            f'<span class="bar">{bar}</span>'
        )
    return f"Rest of {length:.0f} s is over."


def computed(scene: SessionState) -> bool:
    """Tell whether anything is computed in a session."""
    return any(name in scene.computed for name in COMPUTED)
