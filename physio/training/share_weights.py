"""Exchange of weights: local folders, and repositories of the Hugging Face hub."""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from physio.models import model_card
from physio.models.model_card import FILES, Weights

PAGE: Final = "README.md"
"""Page of a repository of the hub: the model card, after a head that the hub reads."""

_REPOSITORY: Final = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_LICENCES: Final = {
    "cc0-1.0": r"CC0([ -]1\.0)?",
    "cc-by-4.0": r"CC[ -]BY[ -]4\.0",
    "cc-by-sa-4.0": r"CC[ -]BY[ -]SA[ -]4\.0",
    "cc-by-nc-4.0": r"CC[ -]BY[ -]NC[ -]4\.0",
    "cc-by-nc-sa-4.0": r"CC[ -]BY[ -]NC[ -]SA[ -]4\.0",
    "bsd-3-clause": r"BSD[ -]3[ -]Clause",
    "mit": r"MIT",
    "odc-by": r"ODC[ -]By([ -]1\.0)?",
}
"""Names of licences on the hub, each with the pattern of its whole text."""


def pull(source: str, folder: Path, revision: str = "") -> Weights:
    """Copy weights into a new folder, once they match their card.

    Parameters
    ----------
    source
        Folder that holds weights, or a repository of the hub, ``owner/name``.
    folder
        The new folder.
    revision
        Version of the repository: a branch, a tag or a commit.

    Returns
    -------
    Weights
        The weights; their model is not built, so that no code runs.

    Raises
    ------
    ValueError
        If the folder exists, if there are no weights at the source, or if they do not
        match their card.
    """
    if folder.exists():
        raise ValueError(f"{folder} exists: give a new folder")
    with TemporaryDirectory() as place:
        origin = Path(source)
        if not origin.is_dir():
            origin = _download(source, revision, Path(place))
        if not (origin / "card.json").is_file():
            raise ValueError(f"there are no weights in {source}: it has no card.json")
        part = Path(place) / "weights" / folder.name
        part.mkdir(parents=True)
        for name in FILES:
            if (origin / name).is_file():
                shutil.copyfile(origin / name, part / name)
        weights = model_card.load(str(part))
        text = model_card.to_markdown(folder.name, weights.card)
        (part / "CARD.md").write_text(text, "utf-8")
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(part, folder)
    return weights


def push(name: str, target: str, *, private: bool = True) -> str:
    """Copy weights into a folder, or a repository of the hub; return where they are.

    Parameters
    ----------
    name
        Shipped weights, or the path of a folder of weights.
    target
        Path of a new folder (with a ``/`` in front or ``./``), or a repository of the
        hub, ``owner/name``, which is created if it is missing.
    private
        Whether a new repository is private.

    Raises
    ------
    ValueError
        If the weights do not match their card, the folder exists, or the hub cannot be
        reached.
    """
    weights = model_card.load(name)
    source = model_card.folder_of(name)
    with TemporaryDirectory() as place:
        part = Path(place) / "weights"
        part.mkdir()
        for file in FILES:
            if file != "CARD.md" and (source / file).is_file():
                shutil.copyfile(source / file, part / file)
        (part / PAGE).write_text(page(weights), "utf-8")
        if re.fullmatch(_REPOSITORY, target) is None:
            folder = Path(target)
            if folder.exists():
                raise ValueError(f"{folder} exists: give a new folder")
            folder.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(part, folder)
            return str(folder)
        hub = _hub()
        with _readable_errors(target):
            api = hub.HfApi()
            api.create_repo(target, private=private, exist_ok=True)
            return str(api.upload_folder(repo_id=target, folder_path=part))


def page(weights: Weights) -> str:
    """Return the page of weights on the hub: its head (YAML), and the model card."""
    card = weights.card
    lines = [
        "---",
        "library_name: physio-affect",
        *_licence(card.licence),
        "tags:",
        *(f"- {tag}" for tag in ("eeg", "physiology", "affective-computing")),
        "---",
        "",
    ]
    return "\n".join(lines) + model_card.to_markdown(weights.name, card)


def _licence(text: str) -> list[str]:
    """Return the lines of a licence, ``other`` if it is not one that the hub knows."""
    parts = [part.strip() for part in text.split(";")]
    known = {_known_licence(part) for part in parts if part}
    name = known.pop() if len(known) == 1 else ""
    if name:
        return [f"license: {name}"]
    return ["license: other", f"license_name: {json.dumps(text, ensure_ascii=False)}"]


def _known_licence(part: str) -> str:
    """Return the hub's name of one licence; empty if it is unknown."""
    names = (
        name
        for name, pattern in _LICENCES.items()
        if re.fullmatch(pattern, part, re.IGNORECASE)
    )
    return next(names, "")


def describe(weights: Weights) -> Mapping[str, Any]:
    """Return the main facts of weights, for a list."""
    card = weights.card
    estimates = ", ".join(card.targets) or "no rating"
    if card.conditions:
        estimates += f"; odds of {', '.join(card.conditions)}"
    return {
        "name": weights.name,
        "trained on": f"{card.origin} participants",
        "estimates": estimates,
        "model": card.use.rpartition(":")[2],
        "licence": card.licence,
    }


def _download(repository: str, revision: str, place: Path) -> Path:
    """Return the folder of a downloaded repository."""
    if re.fullmatch(_REPOSITORY, repository) is None:
        raise ValueError(
            f"{repository!r} is neither a folder nor a repository of the Hugging Face "
            "hub, owner/name"
        )
    hub = _hub()
    with _readable_errors(repository):
        path = hub.snapshot_download(
            repository,
            revision=revision or None,
            allow_patterns=list(FILES),
            cache_dir=place / "hub",
        )
    return Path(path)


@contextmanager
def _readable_errors(repository: str) -> Iterator[None]:
    """Turn errors of the hub and of the network into one sentence."""
    try:
        yield
    except Exception as error:  # those of the hub and of its HTTP client
        text = " ".join(str(error).split())[:160]
        raise ValueError(
            f"the Hugging Face hub does not give access to {repository!r}, or there is "
            f"no network: {type(error).__name__}: {text}; copy a folder instead, or "
            "log in with `hf auth login`"
        ) from None


def _hub() -> Any:
    """Return the package huggingface_hub, without a progress bar."""
    try:
        hub = import_module("huggingface_hub")
        import_module("huggingface_hub.utils").disable_progress_bars()
    except ImportError:
        raise ValueError(
            "repositories of the Hugging Face hub need the package 'huggingface_hub': "
            "pip install 'physio-affect[hub]'; a folder needs nothing"
        ) from None
    return hub
