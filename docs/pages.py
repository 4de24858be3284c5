"""Pages that are made of what stands elsewhere: notebooks, and what commands say."""

import shutil
from pathlib import Path

HERE = Path(__file__).parent


def bring(app):
    """Put the notebooks and the help of every command beside the other pages."""
    del app
    target = HERE / "notebooks"
    target.mkdir(exist_ok=True)
    for path in sorted((HERE.parent / "notebooks").glob("*.ipynb")):
        text = path.read_text("utf-8")
        copy = target / path.name
        if not copy.exists() or copy.read_text("utf-8") != text:
            shutil.copyfile(path, copy)
    (HERE / "generated").mkdir(exist_ok=True)
    (HERE / "generated" / "commands.md").write_text(commands(), "utf-8")


def commands():
    """Return a page of what each command says of itself, its options, examples."""
    from typer.main import get_command

    from physio.cli import app

    parts = ["# Commands", "Each says this and more with `--help`.", ""]
    for name, command in _all("physio", get_command(app)):
        wanted = [p for p in command.params if p.param_type_name == "argument"]
        usage = " ".join(p.name.upper().replace("_", "-") for p in wanted)
        parts += [f"## {name}", "", "```text", f"{name} {usage}".strip(), "```", ""]
        parts += [str(command.help or "").strip(), ""]
        options = [p for p in command.params if p.param_type_name == "option"]
        rows = [
            f"| `{'` `'.join(p.opts)}` | {(p.help or '').replace('|', '/')} |"
            for p in options if p.help and "--help" not in p.opts
        ]  # fmt: skip
        if rows:
            parts += ["| option | |", "|---|---|", *rows, ""]
    return "\n".join(parts)


def _all(name, command):
    """Return every command below one, by its full name."""
    below = getattr(command, "commands", None)
    if below is None:
        return [(name, command)]
    return [x for key in below for x in _all(f"{name} {key}", below[key])]
