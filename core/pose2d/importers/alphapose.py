"""JSON results of AlphaPose: one list for a whole video, or the forms "open" and "cmu" by image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.pose2d.importers.importer import CameraPeople, Pose2DImporter, by_image, person
from core.session.naming import image_numbers
from core.types.arrays import F64

_BODIES = {"people": "pose_keypoints_2d", "bodies": "joints"}


def _accepts(document: Any) -> bool:
    if isinstance(document, Mapping):
        return bool(document) and all(isinstance(v, Mapping) and _BODIES.keys() & v.keys() for v in document.values())
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(item, Mapping) and "keypoints" in item for item in document)
        and any(isinstance(item.get("image_id"), str) for item in document)
    )


def _read(document: Any, where: str) -> CameraPeople:
    if isinstance(document, Mapping):
        numbers = image_numbers([_stem(name) for name in document], where)
        entries: list[tuple[int, F64 | None]] = []
        for number, (name, content) in zip(numbers, document.items(), strict=True):
            key = next(key for key in _BODIES if key in content)
            entries.append((number, None))
            entries += [(number, person(item[_BODIES[key]], f"{where}, {name}")) for item in content[key]]
        return CameraPeople(people=by_image(entries))
    names = list(dict.fromkeys(str(item["image_id"]) for item in document))
    number_of = dict(zip(names, image_numbers([_stem(name) for name in names], where), strict=True))
    people = [
        (number_of[str(item["image_id"])], person(item["keypoints"], f"{where}, image {item['image_id']}"))
        for item in document
    ]
    return CameraPeople(people=by_image(people))


def _stem(name: str) -> str:
    """Return the name of an image without folders and suffix."""
    file = name.replace("\\", "/").rsplit("/", 1)[-1]
    return file.rsplit(".", 1)[0] if not file.rsplit(".", 1)[-1].isdigit() else file


IMPORTER = Pose2DImporter(name="alphapose", title="AlphaPose (JSON)", container="json", accepts=_accepts, read=_read)
