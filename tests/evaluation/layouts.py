"""Synthetic data sets in the layouts of their authors, with exact ground truth."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.io import savemat

from core.evaluation.shelf import to_shelf14
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types import COCO17, PANOPTIC15, Camera, CameraRig, Pose2D

TURN = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""World coordinates (x, y, z) to Panoptic's (x, -z, y), in centimetres with y down: `xyz @ TURN.T`."""

NODES = (3, 6, 12, 13, 23)
SHELF_FRAMES = list(range(300, 601))
CAMPUS_FRAMES = [*range(350, 471), *range(650, 751)]


@dataclass(frozen=True, kw_only=True)
class Written:
    """A folder and its expected content: the frames of each split, and people (F, P, J, 3) of every frame."""

    folder: Path
    rig: CameraRig
    people_mm: np.ndarray
    test: list[int]
    train: list[int]
    all: list[int]


def renamed(rig: CameraRig, names: list[str]) -> CameraRig:
    return CameraRig(cameras=tuple(c.replace(name=n) for c, n in zip(rig, names, strict=True)))


def panoptic_camera(camera: Camera, node: int) -> dict[str, object]:
    R, t = camera.pose
    return {
        "name": f"00_{node:02d}",
        "type": "hd",
        "resolution": list(camera.size_px),
        "panel": 0,
        "node": node,
        "K": camera.K.tolist(),
        "distCoef": camera.distortion.tolist(),
        "R": (R @ TURN.T).tolist(),
        "t": (t / 10)[:, None].tolist(),
    }


def panoptic_body(number: int, xyz_mm: np.ndarray, hidden: tuple[int, ...] = ()) -> dict[str, object]:
    """Return Panoptic-15 joints (15, 3) as 19 joints, the other four as zeros, hidden ones with low confidence."""
    theirs = np.zeros((19, 4))
    theirs[:15, :3], theirs[:, 3] = xyz_mm @ TURN.T / 10, 0.8
    theirs[list(hidden), 3] = 0.1
    return {"id": number, "joints19": theirs.ravel().tolist()}


def write_bodies(folder: Path, frame: int, bodies: list[dict[str, object]]) -> None:
    path = folder / "hdPose3d_stage1_coco19" / f"body3DScene_{frame:08d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 0.7, "univTime": 53.5, "fpsType": "hd_29_97", "bodies": bodies}))


def write_panoptic(
    folder: Path, people_mm: np.ndarray | None = None, *, size_px: tuple[int, int] = (1920, 1080), first: int = 100
) -> Written:
    """Write two people over 40 frames from number 100 on, with the five cameras that papers use and one more."""
    if people_mm is None:
        people_mm = walkers(2, 40, np.random.default_rng(0), skeleton=PANOPTIC15).xyz_mm
    bend = (-0.1, 0.02, 1e-3, -5e-4, 0.0)
    nodes = (*NODES, 30)
    rig = renamed(ring_rig(6, size_px=size_px, distortion=bend), [f"00_{n:02d}" for n in nodes])
    folder.mkdir(parents=True)
    cameras = [panoptic_camera(c, n) for c, n in zip(rig, nodes, strict=True)]
    other = {**cameras[0], "name": "01_01", "type": "vga", "resolution": [640, 480]}
    document = {"calibDataSource": "synthetic", "cameras": [other, *cameras]}
    (folder / f"calibration_{folder.name}.json").write_text(json.dumps(document))
    for i, people in enumerate(people_mm):
        write_bodies(folder, first + i, [panoptic_body(7 - 4 * p, xyz) for p, xyz in enumerate(people)])
    every = list(range(first, first + len(people_mm)))
    return Written(
        folder=folder,
        rig=rig.subset(rig.names[:5]),
        people_mm=people_mm[:, ::-1],  # in the order of their ids, 3 and 7
        test=every[::12],
        train=every[::3],
        all=every,
    )


def write_actors(folder: Path, kind: str, actors_mm: np.ndarray, rig: CameraRig) -> None:
    """Write actors (F, A, 14, 3), NaN where absent, in cell arrays as MATLAB does."""
    folder.mkdir(parents=True)
    table = {}
    for camera in rig:
        table[camera.name] = {
            "R": camera.pose[0].tolist(),
            "T": camera.centre_mm[:, None].tolist(),
            **{"fx": camera.K[0, 0], "fy": camera.K[1, 1], "cx": camera.K[0, 2], "cy": camera.K[1, 2]},
            "k": [[0.0]] * 3,
            "p": [[0.0]] * 2,
        }
    (folder / f"calibration_{kind}.json").write_text(json.dumps(table))
    cells = np.empty((1, actors_mm.shape[1]), object)
    for a in range(actors_mm.shape[1]):
        frames = np.empty((len(actors_mm), 1), object)
        for f, xyz in enumerate(actors_mm[:, a]):
            frames[f, 0] = xyz / 1000 if np.isfinite(xyz).all() else np.zeros((1, 0))
        cells[0, a] = frames
    wrapped = np.empty((1, 1), object)
    wrapped[0, 0] = cells
    savemat(folder / "actorsGT.mat", {"actor3D": wrapped})


def coco_actors(frames: int, people: int = 2) -> np.ndarray:
    """Return people (F, P, 17, 3) for `to_shelf14`: a short walk, repeated back and forth."""
    there = walkers(people, 40, np.random.default_rng(0)).xyz_mm
    return there[39 - np.abs(np.arange(frames) % 78 - 39)]


def _actors(
    kind: str, size_px: tuple[int, int], cameras: int, frames: int, test: list[int]
) -> Callable[[Path], Written]:
    def write(folder: Path) -> Written:
        actors = to_shelf14(coco_actors(frames), COCO17, "shelf" if kind == "shelf" else "plain")
        actors[test[100] :, 1] = np.nan
        rig = renamed(ring_rig(cameras, size_px=size_px), [str(v) for v in range(cameras)])
        write_actors(folder, kind, actors, rig)
        every = list(range(frames))
        rest = sorted(set(every) - set(test))
        return Written(folder=folder, rig=rig, people_mm=actors, test=test, train=rest, all=every)

    return write


WRITERS: Mapping[str, Callable[[Path], Written]] = {
    "panoptic": write_panoptic,
    "shelf": _actors("shelf", (1032, 776), 5, 640, SHELF_FRAMES),
    "campus": _actors("campus", (360, 288), 3, 760, CAMPUS_FRAMES),
}


def write_predicted_poses(path: Path, poses2d: Mapping[str, Pose2D], frames: list[int], protocol: int = 2) -> None:
    """Write 2D poses as VoxelPose pickles them: image to people, each a dict."""
    found = {}
    for name, pose in poses2d.items():
        for t, frame in enumerate(frames):
            people = np.concatenate([pose.xy_px[t], pose.score[t][..., None]], -1)[pose.present[t]]
            seen = [np.nan_to_num(person).astype(np.float32) for person in people]
            found[f"{name}_{frame}"] = [{"pred": person, "bbox": [0.0, 1.0]} for person in seen]
    path.write_bytes(pickle.dumps(found, protocol))


def write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])
