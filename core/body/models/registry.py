"""Body models to choose from: the one that ships with the program, and those that the user added.

A user's model file is read once (`core.body.models.smpl`) and kept in the user's data folder as plain arrays, with a
card that says what it is, where it came from, and when its terms were accepted. It is never stored in a session.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
import platformdirs

from core import NAME
from core.body.model import BodyModel
from core.body.models.families import FAMILIES, FREE, BodyFamily
from core.body.models.free import free_body
from core.body.models.smpl import JOINTS, KEYPOINTS
from core.config import from_mapping, to_mapping
from core.disk import replacing
from core.documents.arrays import read_npz
from core.errors import CoreError
from core.files import read_yaml, safe_name, sha256, write_yaml
from core.registry import closest

_AGAIN = "Remove it and add it again from the file of its publisher."


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyCard:
    """A body model to choose.

    Attributes:
        name: Name in settings, files and for `load_body_model`.
        family: Name of its family, a key of `FAMILIES`.
        gender: Sex of the people whose shapes it has: "neutral", "female" or "male".
        source: Name of the file that it was added from; empty for the one that ships with the program.
        sha256: SHA-256 of that file in hex.
        accepted: Date and time at which the user accepted its terms, ISO 8601.
        problem: Reason why it cannot be used; empty if it can.
    """

    name: str
    family: str
    gender: str = "neutral"
    source: str = ""
    sha256: str = ""
    accepted: str = ""
    problem: str = ""

    @property
    def about(self) -> BodyFamily:
        """Family with its terms and addresses."""
        return FAMILIES[self.family]

    @property
    def title(self) -> str:
        """Name in the window, such as "SMPL-X, female"; with the name it was given, if it was given another one."""
        if self.name == FREE or self.problem:
            return self.about.title if self.name == FREE else self.name
        usual = f"{self.about.title}, {self.gender}"
        return usual if self.name == f"{self.family}_{self.gender}" else f"{self.name} ({usual})"


def bodies_folder() -> Path:
    """Return the folder of the models that the user added."""
    return platformdirs.user_data_path(NAME, appauthor=False) / "bodies"


def body_models() -> tuple[BodyCard, ...]:
    """Return the body models on this machine, the one that ships with the program first."""
    added = sorted(bodies_folder().glob("*.yaml"))
    return (BodyCard(name=FREE, family=FREE), *(_read_card(path) for path in added))


def body_card(name: str) -> BodyCard:
    """Return the card of a body model.

    Raises:
        CoreError: There is no such model on this machine.
    """
    cards = {card.name: card for card in body_models()}
    if name not in cards:
        message = f"There is no body model '{name}' on this machine."
        remedy = "Add it on the View page (Bodies), or with 'selfpose body-models --add FILE'."
        raise CoreError(message, f"{closest(name, list(cards))} {remedy}")
    return cards[name]


def load_body_model(name: str) -> BodyModel:
    """Return the body model of that name.

    Raises:
        CoreError: There is no such model on this machine, or its file is damaged.
    """
    if name == FREE:
        return free_body()
    card = body_card(name)
    if card.problem:
        raise CoreError(card.problem, _AGAIN)
    path = _arrays_path(name)
    try:
        return _kept(card, path, path.stat().st_mtime_ns)
    except OSError as error:
        raise CoreError(f"The body model '{name}' is incomplete: {path.name} is missing.", _AGAIN) from error


def keep_body_model(model: BodyModel, path: Path, name: str = "", *, accepted: bool) -> BodyCard:
    """Keep a body model for use in all sessions; return its card.

    Args:
        model: Model as `read_smpl` returned it.
        path: File that it was read from.
        name: Name to keep it under; empty for its own.
        accepted: Whether the user has accepted its terms.

    Raises:
        CoreError: Its terms were not accepted, the name is taken, or the folder cannot be written.
    """
    name, family = safe_name(name or model.name), FAMILIES[model.family]
    if name in [card.name for card in body_models()]:
        message = f"There is already a body model '{name}'."
        raise CoreError(message, "Give the new one another name, or remove the present one first.")
    if not accepted:
        message = f"The terms of {family.title} were not accepted: {family.terms}"
        raise CoreError(message, f"Read {family.licence_site}, and accept it (--accept-licence).")
    card = BodyCard(
        name=name,
        family=model.family,
        gender=model.gender,
        source=path.name,
        sha256=sha256(path),
        accepted=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    try:
        bodies_folder().mkdir(parents=True, exist_ok=True)
        with replacing(_arrays_path(card.name)) as temporary, temporary.open("wb") as out:
            np.savez(out, **{key: getattr(model, key) for key in _ARRAYS})
        values = to_mapping(card)
        del values["problem"]
        write_yaml(_card_path(card.name), values)
    except OSError as error:
        message = f"The body model could not be stored in {bodies_folder()}: {error.strerror or error}."
        raise CoreError(message, "Make room there, or check that you may write to it.") from error
    return card


def remove_body_model(name: str) -> None:
    """Delete a model that the user added; the file that it was added from stays.

    Raises:
        CoreError: There is no such model, or it ships with the program.
    """
    if name == FREE:
        raise CoreError("The free body ships with the program and stays.", "Name a model that was added.")
    body_card(name)
    _card_path(name).unlink()
    _arrays_path(name).unlink(missing_ok=True)


_ARRAYS = tuple(
    field.name
    for field in dataclasses.fields(BodyModel)
    if field.name not in ("name", "family", "gender", "licence", "joints", "keypoints", "source_sha256")
)


@lru_cache(maxsize=2)
def _kept(card: BodyCard, path: Path, written_ns: int) -> BodyModel:
    arrays = read_npz(path, _ARRAYS)
    if missing := [key for key in _ARRAYS if key not in arrays]:
        raise CoreError(f"The body model '{card.name}' is damaged: {path.name} has no array '{missing[0]}'.", _AGAIN)
    return BodyModel(
        name=card.name,
        family=card.family,
        gender=card.gender,
        licence=card.about.terms,
        source_sha256=card.sha256,
        joints=JOINTS[card.family],
        keypoints=KEYPOINTS,
        **arrays,
    )


def _read_card(path: Path) -> BodyCard:
    try:
        card = from_mapping(BodyCard, read_yaml(path) or {}, f"{path.name}: ")
        if card.name != path.stem or card.family not in JOINTS:
            raise CoreError(f"{path.name} does not describe the body model '{path.stem}'.", _AGAIN)
        return card
    except CoreError as error:
        return BodyCard(name=path.stem, family=FREE, problem=error.message)


def _arrays_path(name: str) -> Path:
    return bodies_folder() / f"{name}.npz"


def _card_path(name: str) -> Path:
    return bodies_folder() / f"{name}.yaml"
