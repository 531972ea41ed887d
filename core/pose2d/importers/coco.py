"""JSON of the COCO data set: a list of results, or annotations with their images and the names of the joints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from core.pose2d.importers.importer import CameraPeople, Pose2DImporter, by_image, person
from core.session.naming import image_numbers
from core.types.arrays import F64

_VISIBILITY = {0.0: 0.0, 1.0: 0.5, 2.0: 1.0}
"""Confidence of COCO's visibilities: not labelled, hidden, visible."""


def _accepts(document: Any) -> bool:
    if isinstance(document, Mapping):
        return isinstance(document.get("annotations"), list)
    return (
        isinstance(document, list)
        and bool(document)
        and all(
            isinstance(item, Mapping) and "keypoints" in item and isinstance(item.get("image_id"), int)
            for item in document
        )
    )


def _read(document: Any, where: str) -> CameraPeople:
    if isinstance(document, list):
        return CameraPeople(people=by_image(_entries(document, None, where)))
    images = document.get("images") or []
    number: dict[Any, int] | None = None
    if images and all("file_name" in image for image in images):
        stems = [PurePosixPath(str(image["file_name"]).replace("\\", "/")).stem for image in images]
        number = dict(zip((image["id"] for image in images), image_numbers(stems, where), strict=True))
    sizes = {(int(image["width"]), int(image["height"])) for image in images if "width" in image and "height" in image}
    names = next((c["keypoints"] for c in document.get("categories") or [] if c.get("keypoints")), ())
    entries: list[tuple[int, F64 | None]] = [(number[i["id"]] if number else i["id"], None) for i in images]
    entries += _entries([a for a in document["annotations"] if a.get("keypoints")], number, where)
    people = by_image(entries)
    persons = [p for in_image in people.values() for p in in_image]
    stated = [p[:, 2] for p in persons]
    if stated and np.isin(stated, list(_VISIBILITY)).all() and np.max(stated) == max(_VISIBILITY):
        for p in persons:
            p[:, 2] = [_VISIBILITY[v] for v in p[:, 2].tolist()]
    return CameraPeople(people=people, joints=tuple(map(str, names)), size_px=sizes.pop() if len(sizes) == 1 else None)


def _entries(items: list[Any], number: dict[Any, int] | None, where: str) -> list[tuple[int, F64 | None]]:
    return [
        (
            number[item["image_id"]] if number is not None else int(item["image_id"]),
            person(item["keypoints"], f"{where}, image {item['image_id']}"),
        )
        for item in items
    ]


IMPORTER = Pose2DImporter(
    name="coco", title="COCO results and annotations (JSON)", container="json", accepts=_accepts, read=_read
)
