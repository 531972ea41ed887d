"""Body models to choose from: the one that ships with the program, and those that the user added."""

from __future__ import annotations

from dataclasses import dataclass

from core.body.model import BodyModel
from core.body.models.families import FAMILIES, FREE, BodyFamily
from core.body.models.free import free_body
from core.errors import CoreError
from core.registry import closest


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyCard:
    """A body model to choose.

    Attributes:
        name: Name in settings, files and for `load_body_model`.
        family: Family of the model.
        gender: Sex of the people whose shapes it has: "neutral", "female" or "male".
    """

    name: str
    family: BodyFamily
    gender: str = "neutral"


def body_models() -> tuple[BodyCard, ...]:
    """Return the body models on this machine, the one that ships with the program first."""
    return (BodyCard(name=FREE, family=FAMILIES[FREE]),)


def load_body_model(name: str) -> BodyModel:
    """Return the body model of that name.

    Raises:
        CoreError: There is no such model on this machine, or its file is damaged.
    """
    if name == FREE:
        return free_body()
    known = [card.name for card in body_models()]
    raise CoreError(f"There is no body model '{name}' on this machine.", closest(name, known))
