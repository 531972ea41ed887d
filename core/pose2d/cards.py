"""Model cards: what a 2D model is for, where its files come from, under which licence, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass

from core.config import from_mapping
from core.errors import CoreError
from core.files import read_yaml, resource
from core.registry import closest


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One ONNX file of a model: embedded, or to be fetched.

    Attributes:
        role: What the runner calls it: "pose" or "detector".
        resource: Path under the program's resources, where it is embedded.
        url: https address, where it is not.
        member: Path of the ONNX file inside the archive at `url`; empty where the address is the file itself.
        sha256: Hex SHA-256 of the ONNX file; empty where its publisher does not state one.
        bytes: Size of the ONNX file, where known.
    """

    role: str
    resource: str = ""
    url: str = ""
    member: str = ""
    sha256: str = ""
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One choice of 2D estimator.

    Attributes:
        name: As in settings and on disk.
        title: For the person.
        purpose: When to choose it.
        runner: Name in the registry of runners.
        files: Its ONNX files.
        licence: Of code and weights, with what limits their use.
        input_px: (width, height) of the pose network's input; None where it follows the image.
        notes: What else one should know.
    """

    name: str
    title: str
    purpose: str
    runner: str
    files: tuple[ModelFile, ...]
    licence: str
    input_px: tuple[int, int] | None = None
    notes: str = ""

    @property
    def embedded(self) -> bool:
        """Whether the program ships with every file of the model."""
        return all(f.resource for f in self.files)


def model_cards() -> dict[str, ModelCard]:
    """All model cards by name, those that ship with the program first.

    Raises:
        CoreError: A card is damaged or two carry one name.
    """
    found: dict[str, ModelCard] = {}
    for path in sorted(resource("models").glob("*.yaml")):
        card = from_mapping(ModelCard, read_yaml(path) or {}, f"{path.name}: ")
        if card.name in found or card.name != path.stem:
            raise CoreError(
                f"The model card {path.name} is named '{card.name}'.", "A card carries the name of its file, once."
            )
        found[card.name] = card
    return dict(sorted(found.items(), key=lambda item: not item[1].embedded))


def model_card(name: str) -> ModelCard:
    """The model card of that name.

    Raises:
        CoreError: There is none.
    """
    known = model_cards()
    if name not in known:
        raise CoreError(f"There is no 2D estimator named '{name}'.", closest(name, list(known)))
    return known[name]
