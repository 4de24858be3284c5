"""Texts and tables of the dashboard as HTML; all external text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import numpy as np

from physio.core.affect import DIMENSIONS
from physio.core.block import Array, Origin
from physio.core.missing import MissingReason, missing_reason
from physio.view.dashboard import evidence
from physio.view.dashboard.figures.eda_heart import first_chain_with
from physio.view.dashboard.figures.power_by_band import columns_by_band
from physio.view.dashboard.figures.theme import plain_text
from physio.view.dashboard.figures.vad import is_demo, missing_text, withheld_reason
from physio.view.dashboard.panels import listed_features
from physio.view.dashboard.session_state import SessionState, StreamView
from physio.view.labels import (
    CONDITION,
    CONDITION_MEANING,
    MEANING,
    SCALE,
    SCALE_MEANING,
    condition_names,
    origin_labels,
    scale_names,
    scale_value,
)
from physio.view.plots.time_axes import display_unit
from physio.view.stream_stats import StreamStats
from physio.view.terminal.sparklines import clock, number

_SPARK: Final = 60.0  # length of a sparkline (s)
_MAX_FEATURES: Final = 60  # features with a sparkline
_MAX_CONDITIONS: Final = 60  # rows of the summary
_FEW_REASONS: Final = 3  # reasons of a change
_MIN_VALID: Final = 0.8  # fraction of valid input below which a warning is shown


def escaped(text: str, longest: int = 60) -> str:
    """Return an external text for a page: short, printable, without markup."""
    return escape(plain_text(text, longest), quote=True)


def badges(session: SessionState, *, abstains: bool = True) -> str:
    """Return the badges of the page's header, with those of abstaining or without."""
    rows = [("origin", o.badge, o.meaning) for o in origin_labels(session.infos)]
    reason = withheld_reason(session) if abstains else ""
    silent = [d for d in session.dimensions if abstains and missing_text(session, d)]
    if reason:
        rows.append(("abstains", "ABSTAINING", reason))
    elif silent:
        names = ", ".join(silent)
        rows.append(
            ("abstains", f"ABSTAINING: {names}", missing_text(session, silent[0]))
        )
    lost = [n for n in session.sources if session.is_lost(n)]
    if lost and not session.ended and session.at is None:
        rows.append(("lost", f"LOST: {', '.join(lost)}", "no samples arrive"))
    if session.muted:
        rows.append(
            (
                "muted",
                f"MUTED: {', '.join(session.muted)}",
                "excluded from all features",
            )
        )
    if session.ended:
        rows.append(("ended", "ENDED", session.ended))
    return "".join(
        f'<span class="badge {kind}" title="{escaped(meaning, 120)}">'
        f"{escaped(badge, 80)}</span>"
        for kind, badge, meaning in rows
    )


def session_status(session: SessionState) -> str:
    """Return participant, duration, and whether the session is being recorded."""
    duration = clock(session.now - session.begin)
    name = session.selected or session.participant
    participant = f"<b>{escaped(name)}</b> " if name else ""
    if session.at is not None:
        return f'{participant}<span class="time">{duration}</span> recorded'
    rec = (
        f'<span class="rec" title="{escaped(session.recorded_at, 200)}">● REC</span>'
        if session.recorded_at and not session.ended
        else '<span class="norec">not recorded</span>'
    )
    return f'{participant}<span class="time">{duration}</span> {rec}'


def estimates(session: SessionState) -> str:
    """Return each estimated dimension: value, SD, and contributions by modality."""
    rows = []
    buffer = session.estimates
    for name in session.dimensions:
        reason = missing_text(session, name)
        if reason or buffer is None:
            cells = f'<td colspan="2" class="none">{escaped(reason, 90)}</td>'
            parts = ""
        else:
            mean, sd = (buffer.last(n, session.now) for n in (name, f"{name}.sd"))
            bars, text = _contributions(session, name)
            cells = f'<td class="figure">{number(mean, sd)}</td><td>{bars}</td>'
            parts = f'<tr class="parts"><td colspan="3"><small>{text}</small></td></tr>'
        label = escaped(name, 20)
        head = f'<th scope="row">{label}</th>'
        rows.append(f'<tr class="{label}">{head}{cells}</tr>{parts}')
    rows += _conditions(session)
    rows += _scales(session)
    live = buffer is not None and session.at is None
    age = session.now - buffer.newest if buffer is not None and live else 0.0
    old = f'<p class="warn">The newest estimate is {age:.0f} s old.</p>'
    return (
        f'<table class="estimates">{"".join(rows)}</table>{old if age > 2 else ""}'
        f'<p class="meaning">{MEANING}</p>'
    )


def _conditions(session: SessionState) -> list[str]:
    """Return a row with the probability of each condition, of weights that have any."""
    buffer = session.estimates
    names = condition_names(buffer.info) if buffer is not None else ()
    rows = []
    for name in names:
        value = np.nan
        if buffer is not None:
            value = buffer.last(f"{CONDITION}{name}", session.now)
        reason = MissingReason(int(missing_reason(value).item())).words
        cells = f'<td colspan="2" class="none">missing: {escaped(reason, 90)}</td>'
        if np.isfinite(value):
            share = f'<i class="share s0" style="width:{100 * value:.0f}%"></i>'
            cells = (
                f'<td class="figure">{100 * value:.0f} %</td>'
                f'<td><span class="bar">{share}</span></td>'
            )
        label = escaped(name, 20)
        title = escaped(CONDITION_MEANING, 200)
        rows.append(f'<tr title="{title}"><th scope="row">{label}</th>{cells}</tr>')
    return rows


def _scales(session: SessionState) -> list[str]:
    """Return a row with the estimate of each named scale, of weights that have any.

    As for dimensions, there is none before the end of the baseline, and no interval
    whose coverage was not measured.
    """
    buffer = session.estimates
    if buffer is None:
        return []
    rows = []
    for name in scale_names(buffer.info):
        mean, sd, half = (
            buffer.last(f"{SCALE}{name}{end}", session.now)
            for end in ("", ".sd", ".ci80")
        )
        reason = withheld_reason(session) if np.isfinite(mean) else ""
        kind = "figure" if np.isfinite(mean) and not reason else "none"
        if 80 not in evidence.interval_coverage(session, name):
            half = np.nan
        text = reason or scale_value(mean, sd, half)
        label, title = escaped(name, 20), escaped(SCALE_MEANING, 200)
        rows.append(
            f'<tr title="{title}"><th scope="row">{label}</th>'
            f'<td colspan="2" class="{kind}">{escaped(text, 90)}</td></tr>'
        )
    return rows


def _contributions(session: SessionState, name: str) -> tuple[str, str]:
    """Return the contribution of each modality to an estimate, as bars and as text."""
    totals = evidence.contributions(session, name)
    total = sum(map(abs, totals.values()))
    bars = "".join(
        f'<i class="share s{k % 4}" style="width:{100 * abs(v) / total:.0f}%"></i>'
        for k, v in enumerate(totals.values())
    )
    text = " ".join(
        f'<span class="key box s{k % 4}">{escaped(n, 14)} {v:+.2f}</span>'
        for k, (n, v) in enumerate(totals.items())
    )
    text = text or "no contributions: population mean"
    if changed := evidence.change_reasons(session, name):
        few = list(changed.items())[:_FEW_REASONS]
        reasons = ", ".join(f"{escaped(n, 14)} {v:+.2f}" for n, v in few)
        text += f"<br>changed in the last {evidence.RECENT:.0f} s by {reasons}"
    return f'<span class="bar">{bars}</span>', text


def estimate_basis(session: SessionState) -> str:
    """Return the basis of the estimates: window, valid input, movement, weights."""
    window = evidence.support_seconds(session)
    basis = (
        f"<p>Based on the last <b>{window:.0f} s</b>; shown twice a second.</p>"
        if np.isfinite(window)
        else ""
    )
    parts = [p for p in (_valid_input(session), _movement(session)) if p]
    basis += f"<p>{' '.join(parts)}</p>" if parts else ""
    absent = [d for d in DIMENSIONS if d not in session.dimensions]
    if session.estimates is not None and absent:
        basis += f"<p>Not estimated: {', '.join(absent)}.</p>"
    return basis + "".join(
        _expert(session, e) for e in evidence.experts(session.config)
    )


def _valid_input(session: SessionState) -> str:
    fraction = evidence.valid_fraction(session)
    if not np.isfinite(fraction):
        return ""
    warning = ' class="warn"' if fraction < _MIN_VALID else ""
    text = f"Valid input in the last minute: <b>{100 * fraction:.0f} %</b>."
    return f"<span{warning}>{text}</span>"


def _movement(session: SessionState) -> str:
    name, value = evidence.strongest_movement(session)
    if not np.isfinite(value):
        return ""
    text = (
        f'<b class="warn">▲ MOVEMENT</b> {value:.2f} g'
        if evidence.is_moving(value)
        else f"no movement ({value:.2f} g)"
    )
    return f"{escaped(name.partition('.')[0])}: {text}."


def _expert(session: SessionState, expert: evidence.ExpertCard) -> str:
    card, name = expert.card, expert.name
    kind = "" if card.origin is Origin.MEASURED else " demo"
    lacking = [d for d in DIMENSIONS if d not in card.supports]
    untrained = f" No training data for {' or '.join(lacking)}." if lacking else ""
    figures = {
        **{d[0].upper(): _coverage(session, d, 80) for d in card.supports},
        **{escaped(name, 20): _coverage(session, name, 80) for name in card.scales},
    }
    measured = [f"{name} {figure}" for name, figure in figures.items() if figure]
    coverage = (
        f"Coverage of 80 % intervals in held-out participants: {', '.join(measured)}."
        if measured
        else "Coverage of the intervals was not measured: no interval is shown."
    )
    return (
        f'<p class="expert{kind}" title="{escaped(card.data, 300)}">'
        f"<b>{escaped(name)}</b>: "
        f"trained on {escaped(card.data.partition(' (')[0], 70)}."
        f"{escaped(untrained, 90)} <small>{coverage}</small></p>"
    )


def _coverage(session: SessionState, dimension: str, level: int) -> str:
    """Return the measured coverage of an interval with its 95 % interval."""
    figure = evidence.interval_coverage(session, dimension).get(level, "")
    mean, _, limits = figure.partition(" (")
    try:
        low, high = (round(100 * float(v)) for v in limits.rstrip(")").split(" to "))
        return f"{100 * float(mean):.0f} % [{low}, {high}]"
    except ValueError:
        return ""


def feature_sparklines(session: SessionState) -> str:
    """Return sparklines of the raw features that the experts read."""
    buffer, names = session.features, listed_features(session)
    if buffer is None or not names:
        return ""
    items = []
    for name in names[:_MAX_FEATURES]:
        times, values = buffer.column(name, session.now - _SPARK, session.now + 1e-6)
        unit = buffer.info.channels[buffer.info.names.index(name)].unit
        newest = values[-1] if len(values) else np.nan
        newest = 0.0 if abs(newest) < 1e-3 else newest
        text = (
            f"{newest:.3g} {display_unit(unit)}" if np.isfinite(newest) else "missing"
        )
        items.append(
            f"<li><span>{escaped(name, 40)}</span>{_spark(times, values)}"
            f"<b>{escaped(text, 24)}</b></li>"
        )
    return f'<ul class="features">{"".join(items)}</ul>'


def _spark(times: Array, values: Array) -> str:
    """Return a line of a feature over time as SVG, interrupted where it is missing."""
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


def streams(session: SessionState, *, controls: bool) -> str:
    """Return the table of streams: rate, age, loss, validity, battery, mute button."""
    is_live = session.at is None
    names = ("newest", "lost (60 s)", "valid") if is_live else ("lost", "valid (10 s)")
    cells = ("stream", "Hz", *names, *(("mute",) if controls else ()))
    head = "".join(f'<th scope="col">{name}</th>' for name in cells)
    row = _live_row if is_live else _recorded_row
    rows = [row(session, n, s, controls=controls) for n, s in session.sources.items()]
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )


Cell = tuple[str, str]  # CSS class, text


def _row(header: str, cells: Iterable[Cell]) -> str:
    tds = "".join(f'<td class="{kind}">{text}</td>' for kind, text in cells)
    return f'<tr><th scope="row">{header}</th>{tds}</tr>'


def _live_row(
    session: SessionState, name: str, source: StreamView, *, controls: bool
) -> str:
    """Return the row of a stream of a running session."""
    lost = not session.ended and session.is_lost(name)
    mark = '<b class="lost">LOST</b> ' if lost else ""
    if not lost and name in session.muted:
        mark = "○ "
    seconds = source.stats.age(session.now) / session.speed
    age_kind, age = "lost" if lost else "", _age_text(seconds)
    return _row(
        f"{mark}{escaped(name, 24)}{_battery(session, name)}",
        (
            _rate_cell(source.stats, session.now),
            (age_kind, age),
            _loss_cell(source.stats, session.now),
            _valid_cell(source.stats),
            *((("", _mute_button(session, name)),) if controls else ()),
        ),
    )


def _rate_cell(stats: StreamStats, now: float) -> Cell:
    rate, nominal = stats.rate(now), float(stats.info.rate)
    wrong = np.isfinite(rate) and abs(rate / nominal - 1) > 0.05
    text = f"{rate:.1f}" if np.isfinite(rate) else "…"
    return "warn" if wrong else "", f"{text} <small>of {nominal:g}</small>"


def _age_text(age: float) -> str:
    if not np.isfinite(age):
        return "never"
    age = max(0.0, age)  # clocks of a device and of this computer may differ
    return f"{age:.2f} s" if age < 10 else f"{age:.0f} s"


def _loss_cell(stats: StreamStats, now: float) -> Cell:
    lost, fraction = stats.loss(now)
    if not lost:
        return "", "0"
    text = f"{lost} <small>{100 * fraction:.1f} %</small>"
    return "lost" if fraction > 0.05 else "warn", text


def _valid_cell(stats: StreamStats) -> Cell:
    valid = stats.quality().valid_fraction
    if not np.isfinite(valid):
        return "", "…"
    return "warn" if valid < 0.9 else "", f"{100 * valid:.0f} %"


def _mute_button(session: SessionState, name: str) -> str:
    kind = "unmute" if name in session.muted else "mute"
    label = escaped(name)
    return (
        f'<button data-kind="{kind}" data-label="{label}" '
        f'aria-label="{kind} {label}">{kind}</button>'
    )


def _recorded_row(
    session: SessionState, name: str, source: StreamView, *, controls: bool
) -> str:
    """Return the row of a recorded stream: total loss, and validity of 10 s."""
    del controls  # a recording has none
    stats = source.stats
    _, data = source.buffer.window(session.now - 10.0, session.now + 1e-6)
    valid = f"{100 * np.isfinite(data).mean():.0f} %" if data.size else "none"
    fraction = stats.lost / max(1, stats.lost + stats.samples)
    lost = f"{stats.lost} <small>{100 * fraction:.1f} %</small>"
    cells = (f"{float(stats.info.rate):g}", lost, valid)
    return _row(escaped(name, 24), (("", text) for text in cells))


def _battery(session: SessionState, name: str) -> str:
    """Return the battery level of a stream's device, if it has such a stream."""
    device = name.partition(".")[0]
    for other, source in session.sources.items():
        if other.partition(".")[0] == device and "battery" in other.lower():
            _, data = source.buffer.window(-np.inf, session.now + 1)
            if len(data):
                return f' <small class="battery">battery {data[-1, 0]:.3g}</small>'
    return ""


def latency(session: SessionState, ages: Sequence[float]) -> str:
    """Return the delays from the sensor to the screen, step by step."""
    live = session.at is None
    per_second = 1e3 / session.speed  # ms of real time
    arrivals = [
        max(0.0, per_second * float(np.median(s.delays)))
        for s in session.sources.values()
        if len(s.delays) and live
    ]
    rows = []
    if arrivals:
        span = f"{min(arrivals):.0f} to {max(arrivals):.0f} ms"
        rows.append(("samples on arrival", span, ""))
    columns = set(evidence.expert_columns(session))
    channels = session.features.info.channels if session.features else ()
    delays = [c.delay for c in channels if c.name in columns]
    if delays:
        rows.append(("delay of features", f"{max(delays):.2f} s", ""))
    if session.compute_ms:
        median, p99 = session.compute_ms
        rows.append(("computation", f"{median:.1f} ms", f"p99 {p99:.1f}"))
    if session.estimate_delays:
        median, p99 = per_second * np.percentile(session.estimate_delays, [50, 99])
        rows.append(("to the estimate", _milliseconds(median), f"p99 {p99:.0f}"))
    if len(ages) and live:
        median, p95 = np.percentile(ages, [50, 95])
        rows.append(("to this page", _milliseconds(median), f"p95 {p95:.0f}"))
    if session.speed != 1:
        rows.append(("speed", f"{session.speed:g} x", "simulated"))
    if session.dropped:
        rows.append(("not shown", str(session.dropped), ""))
    text = "".join(
        f'<tr><th scope="row">{a}</th><td>{b}</td><td><small>{c}</small></td></tr>'
        for a, b, c in rows
    )
    return f"<table>{text}</table>"


def _milliseconds(value: float) -> str:
    return f"{max(0.0, value):.0f} ms"


def condition_summary(session: SessionState) -> str:
    """Return a table with the means of estimates and of two features by condition.

    Estimates count from the end of the baseline on.
    """
    columns = [
        (session.estimates, name, f'<abbr title="{name}">{name[0].upper()}</abbr>')
        for name in session.dimensions
    ]
    features = session.features
    heart = first_chain_with(features, "rate", "rate.sd")
    heart = heart or first_chain_with(features, "rate", "rmssd")
    if heart:
        columns.append(
            (features, f"{heart}.rate", '<abbr title="heart rate (1/min)">HR</abbr>')
        )
    skin = first_chain_with(features, "tonic", "phasic")
    if skin and session.at is not None:  # a live page has less room
        unit = display_unit("uS")
        columns.append((features, f"{skin}.tonic", f"SCL <small>{unit}</small>"))
    known = [(b, n, h) for b, n, h in columns if b is not None and n in b.info.names]
    names = ("name", "s", *(h for _, _, h in known))
    head = "".join(f'<th scope="col">{h}</th>' for h in names)
    rows = []
    for condition in session.conditions[-_MAX_CONDITIONS:]:
        begin, end = condition.begin, min(condition.end, session.end)
        cells = [f"{max(0.0, end - begin):.0f}"]
        for buffer, name, _ in known:
            times, values = buffer.column(name, begin, end)
            if buffer is session.estimates:
                values = values[~session.before_baseline_end(times)]
            values = values[np.isfinite(values)]
            form = "+.2f" if name in session.dimensions else ".2f"
            form = ".0f" if name.endswith(".rate") else form
            cells.append(format(values.mean(), form) if len(values) else "none")
        rows.append(_row(escaped(condition.name, 30), (("", c) for c in cells)))
    of = " of demonstration weights" if is_demo(session) else ""
    return (
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        "<p><small>Means within each condition; V, A and D are estimates"
        f"{of}, from the end of the baseline on.</small></p>"
    )


def band_keys(session: SessionState) -> str:
    """Return the keys of the bands that are drawn."""
    return "".join(
        f'<span class="key line band-{name}">{name}</span>'
        for name in columns_by_band(session.features)
    )


def event_log(session: SessionState, most: int = 12) -> str:
    """Return the newest lines of the event log, newest first."""
    past = [e for e in session.log.entries if e.time <= session.now + 1]
    newest = sorted(past, key=lambda e: e.time)[-most:]
    lines = [
        f'<li class="{entry.style}"><time>{clock(entry.time - session.begin)}</time> '
        f"{escaped(entry.text, 90)}"
        + (f" <small>{entry.repetitions} times</small>" * (entry.repetitions > 1))
        + "</li>"
        for entry in reversed(newest)
    ]
    return f"<ul>{''.join(lines)}</ul>"


def baseline(session: SessionState) -> str:
    """Return the progress of the participant's baseline."""
    remaining = session.baseline_remaining
    begin, length = session.baseline_period()
    if not length:
        return "No baseline is needed in this session."
    if not np.isfinite(begin):
        return f"Baseline of {length:.0f} s: not started, no input yet."
    if remaining > 0:
        done = 100 * (1 - remaining / length)
        bar = f'<i class="share s0" style="width:{done:.0f}%"></i>'
        return (
            f"Baseline: <b>{clock(remaining)}</b> of {length:.0f} s remaining."
            f'<span class="bar">{bar}</span>'
        )
    first = begin - session.begin
    return f"Baseline: {first:.0f} to {first + length:.0f} s after the beginning."
