"""Pages from other sources: notebooks, command help, the generated reference."""

import shutil
from itertools import groupby
from pathlib import Path

import reference

HERE = Path(__file__).parent


def bring(app):
    """Copy the notebooks and write the generated pages beside the other pages."""
    del app
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    for path in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        text = path.read_text("utf-8")
        copy = target / path.name
        if not copy.exists() or copy.read_text("utf-8") != text:
            shutil.copyfile(path, copy)
    generated = HERE / "generated"
    generated.mkdir(exist_ok=True)
    for name, page in GENERATED.items():
        path, text = generated / f"{name}.md", page()
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def commands():
    """Return the page of all commands: help, arguments, options, defaults, example."""
    from typer.main import get_command

    from physio.cli import app

    parts = [
        "# Commands",
        "",
        "`physio COMMAND --help` prints the same texts. `physio --version` prints the",
        "version; `physio --install-completion` sets up completion in the shell.",
        "Exit status: 2 for invalid input, 1 for a fault that a command detected.",
        "",
    ]
    every = all_commands("physio", get_command(app))
    for panel, group in groupby(every, key=lambda item: item[2]):
        parts += [f"## {panel}", ""]
        for name, command, _ in group:
            parts += _command(name, command)
    return "\n".join(parts)


def _command(name, command):
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    usage = " ".join(p.name.upper().replace("_", "-") for p in arguments)
    text = str(command.help or "").strip()
    parts = [
        f"### {name}",
        "",
        "```text",
        f"{name} {usage}".strip(),
        "```",
        "",
        text,
        "",
    ]
    options = [p for p in command.params if p.param_type_name == "option" and p.help]
    rows = [f"| `{p.name.upper()}` | {_help(p)} | |" for p in arguments if p.help] + [
        f"| `{'` `'.join(p.opts)}` | {_help(p)} | {_default(p)} |"
        for p in options
        if "--help" not in p.opts
    ]
    head = ["| argument or option | meaning | default |", "|---|---|---|"]
    return parts + ([*head, *rows, ""] if rows else [])


def _help(parameter):
    return " ".join((parameter.help or "").replace("|", "/").split())


def _default(parameter):
    value = parameter.default
    if value is None or value is False or callable(value) or not str(value):
        return ""
    if value is True:
        return "on"
    if isinstance(value, list | tuple):
        value = " ".join(str(x) for x in value)
    return f"`{value}`" if str(value) else ""


def all_commands(name, command, panel=""):
    """Return every command below one: full name, command, heading in the help."""
    panel = getattr(command, "rich_help_panel", None) or panel
    below = getattr(command, "commands", None)
    if below is None:
        return [(name, command, panel if isinstance(panel, str) else "")]
    return [
        x for key in below for x in all_commands(f"{name} {key}", below[key], panel)
    ]


GENERATED = {
    "commands": commands,
    "columns": reference.columns,
    "settings": reference.settings,
    "supported": reference.supported,
}
"""The generated pages, by their names."""
