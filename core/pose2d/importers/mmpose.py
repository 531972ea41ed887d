"""JSON results of MMPose: instances by frame, with the names of the joints where they are stated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.pose2d.importers.importer import CameraPeople, Pose2DImporter, by_image, person


def _frames(document: Any) -> Any:
    return document.get("instance_info") if isinstance(document, Mapping) else document


def _accepts(document: Any) -> bool:
    frames = _frames(document)
    return (
        isinstance(frames, list) and bool(frames) and all(isinstance(f, Mapping) and "instances" in f for f in frames)
    )


def _read(document: Any, where: str) -> CameraPeople:
    entries: list[Any] = []
    for place, frame in enumerate(_frames(document)):
        number = int(frame.get("frame_id", place))
        entries.append((number, None))
        for item in frame["instances"]:
            joints = person(item["keypoints"], f"{where}, frame {number}", item.get("keypoint_scores"))
            entries.append((number, joints))
    return CameraPeople(people=by_image(entries), joints=_names(document))


def _names(document: Any) -> tuple[str, ...]:
    """Return the names of the joints, if the file states them."""
    about = document.get("meta_info", {}) if isinstance(document, Mapping) else {}
    names = about.get("keypoint_id2name", {}) if isinstance(about, Mapping) else {}
    if isinstance(names, Mapping):
        return tuple(str(names[key]) for key in sorted(names, key=int))
    return tuple(map(str, names))


IMPORTER = Pose2DImporter(name="mmpose", title="MMPose (JSON)", container="json", accepts=_accepts, read=_read)
