"""Available body models: the embedded one, and those added by the user.

A user's model file is read once (`core.body.models.smpl`) and stored in the user's data folder as plain arrays, with a
card on its family, its source and the acceptance of its terms. It is never stored in a session.
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
    """Description of an available body model.

    Attributes:
        name: Name in settings and files.
        family: Name of its family, a key of `FAMILIES`.
        gender: "neutral", "female" or "male".
        source: Name of the source file; empty for the embedded model.
        sha256: Hexadecimal SHA-256 of the source file.
        accepted: Date and time at which the user accepted the terms, ISO 8601.
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
        """Family of the model."""
        return FAMILIES[self.family]

    @property
    def title(self) -> str:
        """Display name, such as "SMPL-X, female", with the name if the user has chosen one."""
        if self.name == FREE or self.problem:
            return self.about.title if self.name == FREE else self.name
        usual = f"{self.about.title}, {self.gender}"
        return usual if self.name == f"{self.family}_{self.gender}" else f"{self.name} ({usual})"


def bodies_folder() -> Path:
    """Return the folder of the user's models."""
    return platformdirs.user_data_path(NAME, appauthor=False) / "bodies"


def body_models() -> tuple[BodyCard, ...]:
    """Return the available body models, the embedded one first."""
    added = sorted(bodies_folder().glob("*.yaml"))
    return (BodyCard(name=FREE, family=FREE), *(_read_card(path) for path in added))


def body_card(name: str) -> BodyCard:
    """Return the card of a body model.

    Raises:
        CoreError: There is no such model on this computer.
    """
    cards = {card.name: card for card in body_models()}
    if name not in cards:
        message = f"There is no body model '{name}' on this computer."
        remedy = "Add it on the View page (Bodies), or with 'selfpose body-models --add FILE'."
        raise CoreError(message, f"{closest(name, list(cards))} {remedy}")
    return cards[name]


def load_body_model(name: str) -> BodyModel:
    """Load a body model.

    Raises:
        CoreError: There is no such model on this computer, or its file is damaged.
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
    """Store a body model for use in all sessions, and return its card.

    Args:
        model: Model from `read_smpl`.
        path: Source file.
        name: Name to store it under; empty for the name in the file.
        accepted: True if the user has accepted the terms.

    Raises:
        CoreError: The terms were not accepted, the name is taken, or the folder cannot be written.
    """
    name, family = safe_name(name or model.name), FAMILIES[model.family]
    if name in [card.name for card in body_models()]:
        message = f"There is already a body model '{name}'."
        raise CoreError(message, "Choose another name, or remove the existing model first.")
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
        raise CoreError(message, "Free some space there, or check that you may write to it.") from error
    return card


def remove_body_model(name: str) -> None:
    """Delete a user's model; its source file is kept.

    Raises:
        CoreError: There is no such model, or it is the embedded one.
    """
    if name == FREE:
        raise CoreError("The free body ships with the program and cannot be removed.", "Choose a model that you added.")
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
