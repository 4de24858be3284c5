"""Commands for trained weights: list, show, check, copy and publish them."""

from pathlib import Path
from typing import Annotated

import typer

from physio.cli.output import JsonPath, Trust, routed, say, write_json

weights = typer.Typer(
    name="weights",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="""Trained weights: list, show, check, copy and publish them.

    `physio weights list` names the shipped ones; `physio weights check FOLDER` tries
    one's own before a session.""",
)

Name = Annotated[
    str, typer.Argument(help="Shipped weights, or the path of a folder ('./mine').")
]


def list_weights(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder whose subfolders hold weights, listed too."),
    ] = None,
    json_path: JsonPath = None,
) -> None:
    """List the shipped weights, and those in a folder.

    Example: `physio weights list trained`
    """
    from physio.models import model_card
    from physio.training.share_weights import describe

    names = list(model_card.shipped_names())
    if folder is not None:
        cards = sorted(folder.glob("*/card.json"))
        if not cards:
            raise ValueError(f"no subfolder of {folder} holds weights (a card.json)")
        names += [str(card.parent.resolve()) for card in cards]
    rows, faults = [], []
    for name in names:
        try:
            rows.append(describe(model_card.load(name)))
        except ValueError as error:
            faults.append(str(error))
    for row in rows:
        say(f"{row['name']}: {row['estimates']}; {row['trained on']}; {row['licence']}")
    for fault in faults:
        say(f"refused: {fault}")
    write_json(json_path, {"weights": rows, "refused": faults})


def show(name: Name) -> None:
    """Print the model card of weights.

    Example: `physio weights show wrist`
    """
    from physio.models import model_card

    stored = model_card.load(name)
    say(model_card.to_markdown(stored.name, stored.card))


def check_weights(name: Name, trust: Trust = []) -> None:  # noqa: B006 typer wants a list
    """Check that weights match their card, and repeat their stored example.

    A session does the same before their first estimate.

    Example: `physio weights check ./trained/mine --trust my_model`
    """
    from time import perf_counter

    from physio.models import golden, model_card

    stored = model_card.load(name)
    model = stored.model(tuple(trust))
    began = perf_counter()
    difference = golden.largest_difference(model, stored.golden)
    milliseconds = 1e3 * (perf_counter() - began) / len(stored.golden["z"])
    say(
        f"{stored.name}: sha256 {stored.card.sha256[:12]}; the stored example is "
        f"repeated within {difference:.2g} ({stored.tolerance:g} allowed); "
        f"{milliseconds:.1f} ms an estimate"
    )
    if milliseconds > _SLOW:
        ticks = int(1.5 * milliseconds / 250) + 1
        say(
            f"that is long for a session of 4 estimates a second: give it a delay, "
            f'experts = [{{ weights = "{name}", delay = {ticks} }}]'
        )


def pull(
    source: Annotated[
        str,
        typer.Argument(help="Repository of the Hugging Face hub (owner/name), folder."),
    ],
    folder: Annotated[Path, typer.Argument(help="The new folder of the weights.")],
    revision: Annotated[
        str, typer.Option(help="Branch, tag or commit of the repository.")
    ] = "",
) -> None:
    """Copy weights from the Hugging Face hub, or from a folder.

    They are refused unless they match their card; no code of theirs runs.

    Example: `physio weights pull owner/my-weights weights/my-weights`
    """
    from physio.training import share_weights
    from physio.training.train_card import session_line

    stored = share_weights.pull(source, folder, revision)
    say(f"{folder}: {share_weights.describe(stored)['estimates']}")
    say(f"a session reads it as {session_line(folder)}")


def push(
    name: Name,
    target: Annotated[
        str,
        typer.Argument(help="Repository (owner/name), or the path of a new folder."),
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Let everybody see a new repository.")
    ] = False,
) -> None:
    """Copy weights to the Hugging Face hub, or to a new folder of the same layout.

    Example: `physio weights push ./trained/mine owner/my-weights`
    """
    from physio.training import share_weights

    say(f"written: {share_weights.push(name, target, private=not public)}")


_SLOW = 50.0  # ms for an estimate

weights.command("list")(routed(list_weights))
weights.command("show")(routed(show))
weights.command("check")(routed(check_weights))
weights.command("pull")(routed(pull))
weights.command("push")(routed(push))
