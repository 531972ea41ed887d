"""Model cards of 2D pose estimators: purpose, files, licence and runner of each model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from core.config import from_mapping
from core.errors import CoreError
from core.files import read_yaml, resource
from core.registry import closest


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """ONNX file of a model, shipped with the program or downloaded.

    Attributes:
        role: Role of the file in its runner: "pose" or "detector".
        resource: Path under the program's resources; empty for a file to download.
        url: https address of a file to download; empty for a shipped file.
        member: Path of the ONNX file in the archive at `url`; empty if `url` is the ONNX file.
        sha256: SHA-256 of the ONNX file in hex; empty if its publisher does not state one.
        bytes: Size of the ONNX file, or None if unknown.
    """

    role: str
    resource: str = ""
    url: str = ""
    member: str = ""
    sha256: str = ""
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Model card of a 2D pose estimator.

    Attributes:
        name: Name in settings and on disk.
        title: Display name.
        purpose: Advice on when to use the model.
        runner: Name of the model family's runner in `ESTIMATORS`.
        files: ONNX files of the model.
        licence: Licence of code and weights, with any restrictions of use.
        notes: Further notes for the user.
    """

    name: str
    title: str
    purpose: str
    runner: str
    files: tuple[ModelFile, ...]
    licence: str
    notes: str = ""

    @property
    def embedded(self) -> bool:
        """True if all files of the model ship with the program."""
        return all(f.resource for f in self.files)


@cache
def model_cards() -> Mapping[str, ModelCard]:
    """Return all model cards by name, models that ship with the program first.

    Raises:
        CoreError: A card is damaged, or its name differs from its file name.
    """
    found: dict[str, ModelCard] = {}
    for path in sorted(resource("models").glob("*.yaml")):
        card = from_mapping(ModelCard, read_yaml(path) or {}, f"{path.name}: ")
        if card.name in found or card.name != path.stem:
            raise CoreError(
                f"The model card {path.name} is named '{card.name}'.", "Give the card and its file the same name."
            )
        found[card.name] = card
    return MappingProxyType(dict(sorted(found.items(), key=lambda item: not item[1].embedded)))


def model_card(name: str) -> ModelCard:
    """Return the model card with the given name.

    Raises:
        CoreError: Unknown name; the hint suggests the closest one.
    """
    known = model_cards()
    if name not in known:
        raise CoreError(f"Unknown 2D estimator '{name}'.", closest(name, list(known)))
    return known[name]
