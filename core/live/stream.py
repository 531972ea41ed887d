"""Transfer of live people between processes through a ring buffer in shared memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.capture.ring import ImageRing, ImageRingReader
from core.types.arrays import F64, I64, U8
from core.types.body import BodySequence
from core.types.skeleton import Skeleton, skeleton

_MAX_PEOPLE = 40  # limit of the metadata of a ring image
_BODY_PIXELS = 240  # for a body with 55 joints and 10 shape components


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LivePeople:
    """3D people at one time.

    Attributes:
        skeleton: Skeleton of the joints.
        time_ns: Time of the people on the clock of the cameras.
        newest_ns: Recorded time of the newest image used.
        ids: (P,) identities, from 1.
        xyz_mm: (P, J, 3) joints in world coordinates, NaN where missing.
        score: (P, J) confidences in [0, 1], 0 where missing.
        bodies: Bodies of people whose shape is known, as a sequence of one frame; None if none are fitted.
        cameras: Cameras whose images were used.
        fps: Rate of results over the last seconds; 0 if unknown.
    """

    skeleton: Skeleton
    time_ns: int
    newest_ns: int
    ids: I64
    xyz_mm: F64
    score: F64
    bodies: BodySequence | None = None
    cameras: tuple[str, ...] = ()
    fps: float = 0.0

    def latency_s(self, now_ns: int) -> float:
        """Return the age of the newest image in s."""
        return (now_ns - self.newest_ns) / 1e9


class PeopleRing:
    """Writer of a stream of people; used by one thread.

    Raises:
        CoreError: The system has no shared memory left.
    """

    def __init__(self) -> None:
        self._ring = ImageRing(max_pixels=_MAX_PEOPLE * _BODY_PIXELS)

    @property
    def name(self) -> str:
        """Name by which a `PeopleReader` opens the stream."""
        return self._ring.name

    def put(self, people: LivePeople) -> None:
        """Publish people; at most 40, those with the highest scores."""
        best = np.sort(np.argsort(-people.score.sum(-1), kind="stable")[:_MAX_PEOPLE])
        known = np.isfinite(people.xyz_mm[best])
        xyz = np.round(np.where(known, people.xyz_mm[best], 0.0), 1)
        info = {
            "skeleton": people.skeleton.name,
            "time_ns": people.time_ns,
            "newest_ns": people.newest_ns,
            "ids": people.ids[best].tolist(),
            "xyz_mm": xyz.tolist(),
            "score": np.where(known.all(-1), np.round(people.score[best], 3), 0.0).tolist(),
            "cameras": list(people.cameras),
            "fps": round(people.fps, 2),
        }
        image = np.zeros((0, 0, 3), np.uint8)
        if people.bodies is not None:
            shown = [p for p, person in enumerate(people.bodies.person_ids) if person in people.ids[best]]
            image = _pack(people.bodies, shown)
            info["bodies"] = {
                "model": people.bodies.model,
                "joints": people.bodies.joints,
                "shape": people.bodies.betas.shape[1],
                "ids": [people.bodies.person_ids[p] for p in shown],
            }
        self._ring.put(image, info)

    def close(self) -> None:
        """Remove the stream."""
        self._ring.close()


class PeopleReader:
    """Reader of a stream of people.

    Args:
        name: Name of the stream.

    Raises:
        CoreError: There is no such stream.
    """

    def __init__(self, name: str) -> None:
        self._ring = ImageRingReader(name)

    def newest(self) -> LivePeople | None:
        """Return the newest people; None if there are no new ones."""
        found = self._ring.newest()
        return None if found is None else _people(found.info, found.image)

    def close(self) -> None:
        """Detach from the stream."""
        self._ring.close()


def _pack(bodies: BodySequence, shown: list[int]) -> U8:
    """Return bodies packed into an image (P, N, 3), one row of 32-bit floats per body."""
    rotations = bodies.rotations_rad[0, shown].reshape(len(shown), len(bodies.joints) * 3)
    values = np.concatenate([bodies.pelvis_mm[0, shown], rotations, bodies.betas[shown]], 1, dtype=np.float32)
    values = np.pad(values, ((0, 0), (0, -values.shape[1] % 3)))  # Three floats fill four pixels.
    return values.view(np.uint8).reshape(len(shown), values.shape[1] // 3 * 4, 3)


def _unpack(facts: Mapping[str, Any], image: U8) -> BodySequence:
    joints, ids = tuple(facts["joints"]), tuple(facts["ids"])
    P, J = len(ids), len(joints)
    pelvis, rotations, betas = np.split(
        image.reshape(P, 3 * image.shape[1]).view(np.float32).astype(float), [3, 3 + 3 * J], 1
    )
    return BodySequence(
        model=str(facts["model"]),
        joints=joints,
        time_s=np.zeros(1),
        person_ids=ids,
        betas=betas[:, : int(facts["shape"])],
        rotations_rad=rotations.reshape(1, P, J, 3).astype(np.float32),
        pelvis_mm=pelvis[None],
    )


def _people(info: Mapping[str, Any], image: U8) -> LivePeople:
    joints = skeleton(str(info["skeleton"]))
    ids = np.asarray(info["ids"], np.int64)
    score = np.asarray(info["score"], float).reshape(len(ids), len(joints))
    xyz_mm = np.asarray(info["xyz_mm"], float).reshape(len(ids), len(joints), 3)
    return LivePeople(
        skeleton=joints,
        time_ns=int(info["time_ns"]),
        newest_ns=int(info["newest_ns"]),
        ids=ids,
        xyz_mm=np.where(score[..., None] > 0, xyz_mm, np.nan),
        score=score,
        bodies=_unpack(info["bodies"], image) if "bodies" in info else None,
        cameras=tuple(info["cameras"]),
        fps=float(info["fps"]),
    )
