"""Proposal of a session: search, choice of devices, questions, and its commands."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer

from physio.cli.device_words import WORDS, is_word, target
from physio.cli.output import say

if TYPE_CHECKING:
    from physio.cli.device_search import SearchResult
    from physio.cli.session_draft import SessionDraft

DeviceNames = Annotated[
    list[str],
    typer.Option(
        "--device",
        help="Device to use, where several answer: a name of the table; repeatable.",
    ),
]


def init_session(
    file: Annotated[
        Path, typer.Argument(help="File to write; nothing is overwritten.")
    ] = Path("session.toml"),
    word: Annotated[
        str,
        typer.Option(
            "--look-for",
            help="lsl, muse, openbci, e4, polar, synthetic, demo, or a board; default: "
            "everything.",
        ),
    ] = "",
    device: DeviceNames = [],  # noqa: B006 typer wants a list
) -> None:
    """Write a commented session file for the devices that answer now.

    Nothing is recorded. `physio live FILE` runs the session.

    Example: `physio init session mine.toml --look-for lsl`
    """
    from physio.cli.session_draft import write_new

    if file.exists():
        raise ValueError(f"{file} exists: choose another file; nothing was changed")
    plan = proposal(word, device, "physio init session")
    write_new(file, plan.text())
    say(f"{file}: next: physio live {file}")


def proposal(word: str, names: Sequence[str], command: str) -> "SessionDraft":
    """Return the session of the devices that answer, after printing it.

    Errors as of `draft`, and ValueError if the word is unknown.
    """
    if word and not is_word(word):
        raise ValueError(unknown_word(word))
    say(f"looking for {target(word)} ...", err=True)
    from physio.cli.device_search import search

    # What the session computes with is imported while devices answer.
    Thread(target=_import_chains, name="import", daemon=True).start()
    result = search(word)
    origin = " ".join([command, *([word] if word else [])])
    plan = draft(result, origin, names)
    for line in plan.lines():
        say(line)
    for problem in (d.problem for d in result.devices if d.problem):
        say(f"not used: {problem}")
    return plan


def _import_chains() -> None:
    from physio.online.shipped_chains import import_stages

    import_stages()


def unknown_word(word: str) -> str:
    """Return the sentence on a word that is neither a file nor a device."""
    return (
        f"there is no file {word}, and it is no word for a device: "
        f"{', '.join(WORDS)}, or a board of `physio devices`"
    )


def draft(
    result: "SearchResult", origin: str, names: Sequence[str] = ()
) -> "SessionDraft":
    """Return the session of the devices that answered, or of those with some names.

    Raises
    ------
    OSError
        If no device answered; the sentence lists what was looked for.
    ValueError
        If a name is that of no device.
    """
    from physio.cli.session_draft import SessionDraft

    usable = tuple(d for d in result.devices if not d.problem)
    if not usable:
        raise OSError(_nothing(result))
    if names:
        for name in names:
            if not any(d.answers_to(name) for d in usable):
                there = ", ".join(dict.fromkeys(d.sender for d in usable))
                raise ValueError(f"no device {name!r} answers: --device takes {there}")
        usable = tuple(d for d in usable if any(map(d.answers_to, names)))
    return SessionDraft(usable, origin)


def chosen(plan: "SessionDraft", ask: Callable[[str], str] | None) -> "SessionDraft":
    """Return the draft with one device for each main kind of signal.

    Parameters
    ----------
    plan
        The draft.
    ask
        Function that asks the operator a question and returns the answer; None if
        nobody can be asked.

    Raises
    ------
    ValueError
        If several devices measure the same, and nobody can be asked.
    """
    from physio.cli.device_search import MAIN
    from physio.cli.session_draft import SessionDraft, senders_by_kind

    devices = plan.devices
    for kind in MAIN:
        names = senders_by_kind(devices).get(kind, [])
        if len(names) < 2:
            continue
        if ask is None:
            raise ValueError(
                f"{' and '.join(names)} measure {MAIN[kind]}: choose with "
                f"--device NAME ({', '.join(names)}), which may be repeated to use "
                "several"
            )
        question = f"{' and '.join(names)} measure {MAIN[kind]}. Which? (or all)"
        while (answer := ask(question).strip()) not in (*names, "all"):
            say(f"not {answer!r}: {', '.join(names)} or all", err=True)
        if answer != "all":
            dropped = set(names) - {answer}
            devices = tuple(d for d in devices if d.sender not in dropped)
    return SessionDraft(devices, plan.origin)


def answers(
    plan: "SessionDraft", participant: str | None, consent: str | None
) -> tuple[str, str]:
    """Return participant code and consent text, from options or by asking.

    Nothing is asked if no device measures a participant.

    Raises
    ------
    ValueError
        If nobody can be asked, or the participant is no code.
    """
    from physio.cli import session_folder
    from physio.cli.session_draft import NO_PARTICIPANT

    if plan.is_simulated:
        default = "demo" if plan.devices[0].sender == "demo" else "p00"
        participant = default if participant is None else participant
        return session_folder.code(participant), consent or NO_PARTICIPANT
    asker = terminal()
    missing = [
        option
        for option, value in (
            ("--participant CODE", participant),
            ("--consent TEXT", consent),
        )
        if not value
    ]
    if missing and asker is None:
        raise ValueError(
            "there is no terminal to ask for the participant's code and consent: give "
            f"{' and '.join(missing)}"
        )
    while not participant and asker is not None:
        given = asker("Participant code, for example p07 (never a name):").strip()
        try:
            participant = session_folder.code(given)
        except ValueError as error:
            say(str(error), err=True)
    while not consent and asker is not None:
        consent = asker(
            "Which consent text did the participant agree to (name and version)?"
        ).strip()
    return session_folder.code(participant or ""), consent or ""


def terminal() -> Callable[[str], str] | None:
    """Return a function that asks on the terminal; None without one."""
    if not (sys.stdin and sys.stdin.isatty()):
        return None

    def ask(question: str) -> str:
        return str(typer.prompt(question, err=True, prompt_suffix=" "))

    return ask


def _nothing(result: "SearchResult") -> str:
    """Return the sentence on a search without a device."""
    problems = [d.problem for d in result.devices]
    text = f"no device answers; looked for {', '.join(result.targets) or 'none'}"
    more = "; ".join([*problems, *result.hints])
    return (
        f"{text}{f' ({more})' if more else ''}: switch the device or its program on, "
        f"name it ({', '.join(WORDS)} or a board of `physio devices`), or try "
        "`physio live demo`"
    )
