"""Pages generated from the code: columns, configuration keys, supported devices."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
from enum import Enum
from fractions import Fraction
from pathlib import Path

from numpydoc.docscrape import ClassDoc

ROOT = Path(__file__).parents[1]

EEG = ("headset.eeg", 250, (("F3", "eeg", "uV"), ("F4", "eeg", "uV")))
EDA = ("band.eda", 4, (("eda", "gsr", "uS"),))
BVP = ("band.bvp", 64, (("bvp", "bio", "1"),))
ECG = ("chest.ecg", 130, (("ecg", "ecg", "uV"),))
ROWS = tuple((n, "misc", "s") for n in ("interval", "confidence", "height", "rr"))
IBI = ("strap.ibi", 8, (("event", "event", "s"), *ROWS))
RESP = ("chest.resp", 50, (("resp", "resp", "1"),))
ACC = ("band.acc", 32, tuple((f"acc.{axis}", "misc", "g") for axis in "xyz"))
WRIST = ("band.bvp", 32, (*BVP[2], *ACC[2]))
TEMP = ("band.temp", 4, (("temp", "temperature", "degC"),))

SOURCES = {
    "eeg": EEG,
    "eda": EDA,
    "trace": EDA,
    "heart": ECG,
    "pulse": WRIST,
    "prv": BVP,
    "ibi": IBI,
    "resp": RESP,
    "motion": ACC,
    "temperature": TEMP,
}
"""A typical input of each shipped chain: stream, sampling rate (Hz), channels."""

_DE = "physio.features.eeg.differential_entropy:DifferentialEntropy"
_SPECTRUM = "physio.dsp.spectrum:Spectrum"
_BEATS = "physio.features.cardiac.heart_rate:BeatDetection"
_CORRECTION = "physio.features.cardiac.rr_correction:RRCorrection"
FURTHER = (
    (EEG, ("physio.features.eeg.band_power:BandPower",)),
    (EEG, (_DE, "physio.features.eeg.asymmetry:Asymmetry")),
    (EEG, ("physio.features.eeg.hjorth:Hjorth",)),
    (EEG, (_SPECTRUM, "physio.features.eeg.hjorth:SpectralEntropy")),
    (EEG, (_SPECTRUM, "physio.features.eeg.aperiodic:AperiodicSlope")),
    (EEG, ("physio.features.eeg.muscle:MusclePower",)),
    (EDA, ("physio.features.eda.online_decomposition:EdaDecomposition",)),
    (EDA, ("physio.features.eda.scr_detection:ScrDetection",)),
    (EDA, ("physio.features.eda.relative_change:EdaRelativeChange",)),
    (EDA, ("physio.features.newest_samples:NewestSamples",)),
    (ECG, (_BEATS,)),
    (ECG, (_BEATS, _CORRECTION)),
    (ECG, (_BEATS, "physio.features.cardiac.hrv:HRV")),
)
"""Features that no shipped chain computes: a typical input, and stages in series."""


def columns():
    """Return the page of every feature and estimate column."""
    parts = [
        "# Features and columns",
        "",
        "Every column of `features.parquet` and `estimates.parquet`. A feature is",
        "called `CHAIN.FEATURE`, in EEG with the electrode at its end.",
        "",
        "- *Delay*: time from the moment that a value describes to the sample with",
        "  which it is due. *Window*: duration of the samples it is computed from.",
        "- `NAME.missing` is 0, or the reason why the value is missing:",
        f"  {_reasons()}.",
        "- `CHAIN.window_start` and `CHAIN.window_end` (s, session clock) are the",
        "  first and last time of the samples that a row rests on.",
        "- [`chains.toml`](../../physio/assets/chains.toml) defines the chains; a",
        "  session file can define others ([keys](settings.md)).",
        "",
    ]
    for key, (name, info, stages) in shipped_chains().items():
        also = "" if name == key else f" Its columns are called `{name}`."
        parts += [f"## Chain `{key}`", ""]
        parts += [f"From a stream such as `{info.name}` ({_rate(info)}).{also}", ""]
        parts += _table(f"{name}.", info, stages)
        parts += ["", *_described(stages), ""]
    parts += ["## Features for session files", ""]
    parts += [
        "No shipped chain computes these; a session file can name the stages.",
        "",
    ]
    for source, uses in FURTHER:
        info, stages = _info(source), [_class(use)() for use in uses]
        parts += [f"### `{uses[-1].partition(':')[2]}`", ""]
        names = ", ".join(f"`{use.partition(':')[2]}`" for use in uses)
        parts += [f"From a stream such as `{info.name}` ({_rate(info)}): {names}.", ""]
        parts += [*_table("CHAIN.", info, stages), "", *_described(stages[-1:]), ""]
    return "\n".join([*parts, *_wear(), *_estimates()])


def shipped_chains():
    """Return name, typical input and stages of each chain of ``chains.toml``."""
    from physio import config

    chains = {}
    for key, table in config.read(ROOT / "physio/assets/chains.toml").items():
        stages = [config.build(s, f"chains.{key}") for s in table["stages"]]
        chains[key] = table.get("name", key), _info(SOURCES[key]), stages
    return chains


def _info(source):
    from physio.core.block import Channel, StreamInfo

    name, rate, channels = source
    return StreamInfo(name, Fraction(rate), tuple(Channel(*c) for c in channels))


def _rate(info):
    return f"{float(info.rate):g} Hz"


def _reasons():
    from physio.core.missing import MissingReason

    return ", ".join(f"{int(r)} {r.words}" for r in MissingReason if r)


def _table(prefix, info, stages):
    """Return the columns of stages in series as a table of Markdown."""
    from physio.core.stage import Chain

    rows = ["| column | unit | delay (s) | window (s) |", "|---|---|---|---|"]
    for channel in Chain(tuple(stages)).output_info(info).channels:
        name, _, electrode = channel.name.rpartition(".")
        if electrode == "F4":  # as the first electrode
            continue
        shown = f"{name}.<electrode>" if electrode == "F3" else channel.name
        values = f"{channel.unit} | {channel.delay:.4g} | {channel.memory:.4g}"
        rows.append(f"| `{prefix}{shown}` | {values} |")
    return rows


def _described(stages):
    """Return the description and the references of stages, those inside them too."""
    parts = []
    for cls in dict.fromkeys(type(stage) for stage in _stages(stages)):
        text = " ".join([_summary(cls), *ClassDoc(cls)["Extended Summary"]])
        text = " ".join(text.split()).replace("]_", "]")
        parts.append(f"- **`{path(cls)}`** {text}")
        parts += [f"  - {line}" for line in _references(cls)]
    return parts


def _stages(value):
    """Yield the stages in a value that are not containers, in order."""
    from physio.core.stage import Stage

    if isinstance(value, list | tuple):
        for item in value:
            yield from _stages(item)
    elif isinstance(value, Stage):
        inner = [getattr(value, f.name) for f in dataclasses.fields(value)]
        if type(value).__module__ != "physio.core.stage":
            yield value
        yield from _stages([x for x in reversed(inner) if isinstance(x, Stage | tuple)])


def _references(cls):
    """Return the references of a class, one a line."""
    text = " ".join(line.strip() for line in ClassDoc(cls)["References"])
    return [part.strip() for part in re.split(r"\.\. (?=\[\d)", text) if part.strip()]


def _wear():
    from physio.quality.wristband import WearDetection

    names = ("worn", "pulse_sqi", "eda_sqi")
    rows = [
        f"| `wear.{name}` | 1 | that of the features it reads | |" for name in names
    ]
    head = ["| column | unit | delay | window |", "|---|---|---|---|"]
    text = "Added to the features of a wristband, from its other columns."
    described = _described([WearDetection()])
    return ["## Quality of a wristband", "", text, "", *head, *rows, "", *described, ""]


def _estimates():
    """Return the section of the columns of estimates, by those of ``wrist``."""
    from physio.core.affect import DIMENSIONS
    from physio.inference.estimator import Estimator

    units = {"support.window_start": "s, session clock", "support.window_end": "s"}
    first, *others = DIMENSIONS
    rows = ["| column | unit |", "|---|---|"]
    for name in estimate_columns():
        if any(x in name.split(".") for x in others):
            continue
        shown = name.replace(first, "<dimension>")
        rows.append(f"| `{shown}` | {units.get(name, '-1 to 1 (rating)')} |")
    rows = [r.replace("missing` | -1 to 1 (rating)", "missing` | code") for r in rows]
    text = inspect.cleandoc(Estimator.__doc__).split("\n\nParameters\n")[0]
    return [
        "## Estimates",
        "",
        f"`<dimension>` is one of {', '.join(f'`{d}`' for d in DIMENSIONS)}. The table",
        "shows the columns with the weights `wrist`; other weights have their own name",
        "in the place of `wrist`, and their features after `contribution`.",
        "",
        *rows,
        "",
        text,
        "",
        "The model card of each of the weights names its training data, features and",
        "errors: [`physio/assets/weights`](../../physio/assets/weights).",
        "",
    ]


def estimate_columns():
    """Return the names of the columns of estimates of a wristband."""
    from physio.online.default_pipeline import default_estimator, feature_info
    from physio.online.session_config import SessionConfig

    streams = [_info(s) for s in (EDA, BVP, ACC, TEMP)]
    plan = SessionConfig({}).plan(streams)
    output = default_estimator(plan, streams).output_info(feature_info(plan, streams))
    return output.names


SECTIONS = (
    ("[session]", "session"),
    ("[devices.NAME]", "devices"),
    ("[channels.DEVICE.STREAM]", "channels"),
    ("[chains.NAME] stages", "stages"),
    ("[estimator]", "estimator"),
    ("[sinks.NAME]", "sinks"),
    ("[table] of an evaluation file", "table"),
    ("[evaluation]", "evaluation"),
    ("[evaluation.models.NAME]", "models"),
    ("[study], [conditions], [contrasts], [exclusions] of a study file", "study"),
)
"""The sections of configuration files, and the name of their classes in `NAMED`."""

NAMED = {
    "session": ("physio.online.session_config:SessionSettings",),
    "channels": ("physio.io.channel_table:StreamCorrection",),
    "estimator": (
        "physio.inference.estimator:Estimator",
        "physio.inference.expert:Expert",
    ),
    "table": ("physio.offline.extract:Windows",),
    "evaluation": ("physio.evaluation.feature_benchmark:FeatureBenchmark",),
    "study": (
        "physio.study.design:Settings",
        "physio.study.design:Condition",
        "physio.study.design:Contrast",
        "physio.study.design:Exclusion",
    ),
}
"""Classes of settings of the sections that have no choice of ``use``."""

PACKAGES = {
    "devices": ("devices",),
    "sinks": ("physio.sinks", "physio.view.dashboard.sink"),
    "stages": ("physio.core.stage", "physio.dsp", "physio.quality", "physio.features"),
    "models": ("physio.evaluation.models", "physio.training"),
}
"""Packages whose classes a section can name with ``use``."""

MEMBERS = {
    "devices": ("read", "streams"),
    "sinks": ("write", "end"),
    "stages": ("output_info", "process"),
    "models": ("__call__",),
}
"""Members by which the classes of a section are recognized."""


def settings():
    """Return the page of every configuration key with its default."""
    parts = [
        "# Configuration keys",
        "",
        "Every key of session, evaluation and study files (TOML), with its default.",
        "`required` keys have none. In a section with several classes, `use` names the",
        'class: `use = "devices.lsl:Inlet"`. Unknown keys are refused.',
        '`include = "FILE.toml"` at the top of a file takes over the tables of another',
        "file in its folder.",
        "",
    ]
    for title, section in SECTIONS:
        parts += [f"## `{title}`", ""]
        for cls in settings_classes(section):
            parts += [f"### `{path(cls)}`", "", _summary(cls), ""]
            rows = list(_keys(cls))
            if rows:
                parts += ["| key | default | meaning |", "|---|---|---|", *rows]
            else:
                parts.append("No keys.")
            parts.append("")
    return "\n".join(parts)


def setting_fields(cls):
    """Return the fields that a configuration file sets and the session does not."""
    session = {"clock", "folder", "about", "inputs"}
    if hasattr(cls, "read"):
        session.add("name")
    return [
        f
        for f in dataclasses.fields(cls)
        if f.init and not f.name.startswith("_") and f.name not in session
    ]


def _keys(cls):
    described = {}
    for base in reversed(cls.__mro__[:-1]):
        for p in ClassDoc(base)["Parameters"]:
            for name in p.name.split(","):
                described[name.strip().lstrip("*")] = " ".join(" ".join(p.desc).split())
    if hasattr(cls, "read"):
        described["participant"] = "Code of the wearer; by default the session's."
    for f in setting_fields(cls):
        if f.default is not dataclasses.MISSING:
            default = f"`{_toml(f.default)}`"
        elif f.default_factory is not dataclasses.MISSING:
            default = f"`{_toml(f.default_factory())}`"
        else:
            default = "required"
        cells = (f"`{f.name}`", default, described.get(f.name, ""))
        yield "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _toml(value):
    """Return a default as a configuration file writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return f'"{value.value}"'
    if isinstance(value, str | Path):
        return f'"{value}"'
    if isinstance(value, Fraction | float | int):
        return f"{float(value):g}"
    if dataclasses.is_dataclass(value):
        keys = {"use": path(type(value))}
        keys |= {f.name: getattr(value, f.name) for f in setting_fields(type(value))}
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in keys.items()) + " }"
    if isinstance(value, dict):
        inner = ", ".join(f"{k} = {_toml(v)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return "[" + ", ".join(_toml(x) for x in value) + "]"


def settings_classes(section):
    """Return the classes of settings of a section."""
    if section in NAMED:
        return [_class(use) for use in NAMED[section]]
    return [cls for cls in _all(PACKAGES[section]) if _belongs(cls, section)]


def _belongs(cls, section):
    from physio.core.stage import Stage

    if not dataclasses.is_dataclass(cls) or cls.__name__.startswith("_"):
        return False
    if inspect.isabstract(cls) or (section == "stages" and not issubclass(cls, Stage)):
        return False
    members = {name for base in cls.__mro__[:-1] for name in vars(base)}
    return cls is not Stage and members.issuperset(MEMBERS[section])


def _all(packages):
    """Return the classes that are defined in packages, sorted by their path."""
    classes = {}
    for package in packages:
        folders = getattr(importlib.import_module(package), "__path__", ())
        below = pkgutil.walk_packages(folders, f"{package}.")
        for name in (package, *(module.name for module in below)):
            for value in vars(importlib.import_module(name)).values():
                if inspect.isclass(value) and value.__module__ == name:
                    classes[path(value)] = value
    return [classes[key] for key in sorted(classes)]


def supported():
    """Return the page of supported devices, file formats and data sets."""
    return "\n".join([*_devices(), *_formats(), *_data_sets()])


def _devices():
    from devices.board import available_boards

    boards = ", ".join(f"`{name}`" for name in available_boards())
    return [
        "# Supported devices and file formats",
        "",
        "*Tested with* names the tests behind the support. *No hardware* means that",
        "the code follows the published protocol and was tested with a mock: please",
        "report your experience with the real device.",
        "",
        "## Live devices",
        "",
        "| `use` in a session file | device | tested with |",
        "|---|---|---|",
        *(
            f"| `{path(cls)}` | {_summary(cls)} | {_status(cls)} |"
            for cls in settings_classes("devices")
        ),
        "",
        "A Muse, an OpenBCI board, an EmotiBit or any other board of BrainFlow is",
        f'`use = "devices.board:Board"` with one of these as `board`: {boards}.',
        "",
        "`devices.lsl:Inlet` reads any other device whose software sends a stream to",
        "LSL. [Devices](../devices.md) explains their settings,",
        "[Extend it](../extend.md) a driver of your own.",
        "",
    ]


def _formats():
    from physio.datasets.open_recording import FORMATS
    from physio.io.tables.table_presets import PRESETS

    rows = []
    for f in FORMATS:
        name = re.sub(r"^an? ", "", f.name)
        name = f"{name[0].upper()}{name[1:]}"
        cells = (name, f.files, f.recognised_by, f"`{f.reader}`", f.tested_with)
        rows.append(f"| {' | '.join(cells)} |")
    programs = []
    for preset in PRESETS:
        streams = dict.fromkeys(
            f"{rule[1].partition('.')[0]}{f' ({rule[2]})' if rule[2] else ''}"
            for rule in preset.signals
        )
        cells = (preset.program, f"`{preset.name}`", ", ".join(streams), preset.source)
        programs.append(f"| {' | '.join(cells)} |")
    return [
        "## Files",
        "",
        "`physio replay`, `physio.read` and every command that takes a recording read:",
        "",
        "| format | files | recognised by | reader | tested with |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "Tables of these programs are recognised by the names of their columns, in",
        "any order; [others](../data.md#tables-of-your-own) need names that say what",
        "they are, or a map:",
        "",
        "| program | streams begin with | signals (unit of the file) | header after |",
        "|---|---|---|---|",
        *programs,
        "",
        "`physio export` writes BIDS, Parquet, CSV and EDF:",
        "[recordings](../recording.md).",
        "",
    ]


def _data_sets():
    return [
        "## Data sets",
        "",
        "`physio extract` computes features of these from a folder that you have;",
        "[data sets and files](../data.md) lists the folders and streams of each.",
        "",
        "| class | data set | tested with |",
        "|---|---|---|",
        *(
            f"| `{path(cls)}` | {_summary(cls)} | {_status(cls)} |"
            for cls in data_sets()
        ),
        "",
    ]


def data_sets():
    """Return the classes of data sets."""
    return [
        cls
        for cls in _all(("physio.datasets",))
        if {"trials", "load"} <= set(vars(cls)) and dataclasses.is_dataclass(cls)
    ]


def _status(cls):
    """Return ``TESTED_WITH`` of the module or the package that defines a class."""
    name = cls.__module__
    while name:
        status = getattr(importlib.import_module(name), "TESTED_WITH", None)
        if status:
            return status
        name = name.rpartition(".")[0]
    raise ValueError(f"the module of {path(cls)} has no TESTED_WITH")


def path(cls):
    """Return the import path of a class, as ``use`` names it."""
    return f"{cls.__module__}:{cls.__name__}"


def _class(use):
    module, _, name = use.partition(":")
    return getattr(importlib.import_module(module), name)


def _summary(cls):
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
