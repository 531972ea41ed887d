"""Model files with the layout of SMPL, SMPL-H and SMPL-X, made from the embedded body: no licensed file is needed.

The joints are regressed from extra vertices that lie at the joints of the embedded body, and the vertices that carry
keypoints lie at its keypoints, so that both bodies have the same joints and keypoints in every shape and pose.
"""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csc_matrix

from core.body.models.free import free_body
from core.body.models.smpl import JOINTS

N_VERTICES = {"smpl": 6890, "smplh": 6890, "smplx": 10475}
VERTICES = {
    "smpl": {"nose": 332, "left_eye": 2800, "right_eye": 6260, "left_ear": 583, "right_ear": 4071}
    | {"left_big_toe": 3216, "right_big_toe": 6617, "left_small_toe": 3226, "right_small_toe": 6624}
    | {"left_heel": 3387, "right_heel": 6787},
    "smplx": {"nose": 9120, "left_eye": 9448, "right_eye": 9929, "left_ear": 6, "right_ear": 616}
    | {"left_big_toe": 5770, "right_big_toe": 8463, "left_small_toe": 5780, "right_small_toe": 8474}
    | {"left_heel": 8846, "right_heel": 8635},
}
VERTICES["smplh"] = VERTICES["smpl"]


def model_arrays(family: str, *, pose_dirs: bool = False, n_shape: int = 10) -> dict[str, np.ndarray]:
    """Return the arrays of a model file in metres, with random pose blend shapes of a few millimetres or none."""
    free, rng = free_body(), np.random.default_rng(0)
    V, joints = N_VERTICES[family], JOINTS[family]
    J = len(joints)
    parents = np.array([_parent(name, joints) for name in joints])
    template, shapes = np.zeros((V, 3)), np.zeros((V, 3, n_shape))
    weights, regressor = np.zeros((V, J)), np.zeros((J, V))
    marked = set(VERTICES[family].values())
    plain = np.array([v for v in range(V) if v not in marked])
    own = np.array(
        [joints.index(name) if name in joints else joints.index(name[:-4] + "wrist") for name in free.joints]
    )
    at = plain[: len(free.template_mm)]
    template[at], shapes[at, :, :10] = free.template_mm, free.shape_dirs_mm
    np.add.at(weights, (at[:, None], own), free.weights)
    for j, name in enumerate(joints):
        source = free.joints.index(_source(name, joints))
        vertex = plain[len(free.template_mm) + j]
        template[vertex], shapes[vertex, :, :10] = free.joint_template_mm[source], free.joint_dirs_mm[source]
        template[vertex] += 10.0 * (j - joints.index(_source(name, joints))) if j > 23 else 0.0
        weights[vertex, j] = regressor[j, vertex] = 1
    for name, vertex in VERTICES[family].items():
        k = free.keypoints.index(name)
        template[vertex], shapes[vertex, :, :10] = free.keypoint_template_mm[k], free.keypoint_dirs_mm[k]
        weights[vertex, own[free.keypoint_bones[k]]] = 1
    rest = plain[len(free.template_mm) + J :]
    template[rest], weights[rest, 0] = free.template_mm[0], 1
    dirs = rng.normal(0, 2e-3, (V, 3, 9 * (J - 1))).astype(np.float32) if pose_dirs else None
    return {
        "v_template": template / 1000,
        "f": np.concatenate([at[free.faces], [[0, 1, V - 1]]]).astype(np.uint32),
        "weights": weights / weights.sum(1, keepdims=True),
        "shapedirs": shapes / 1000,
        "posedirs": np.zeros((V, 3, 9 * (J - 1)), np.float32) if dirs is None else dirs,
        "J_regressor": regressor,
        "kintree_table": np.stack([parents.astype(np.uint32), np.arange(J, dtype=np.uint32)]),
    }


def hands_and_face(n_faces: int) -> dict[str, np.ndarray]:
    """Return arrays of files of SMPL-X beside those of `model_arrays`: curled fingers, and 51 landmarks of the face."""
    rng = np.random.default_rng(5)
    inside = rng.random((51, 3)) + 0.1
    return {
        "hands_meanl": rng.normal(0, 0.3, 45),
        "hands_meanr": rng.normal(0, 0.3, 45),
        "lmk_faces_idx": rng.integers(0, n_faces - 1, 51),
        "lmk_bary_coords": inside / inside.sum(1, keepdims=True),
    }


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write a model as npz, with an array of Python objects beside those of the model, as SMPL-X has it."""
    np.savez(path, part2num=np.array({"head": 1}, dtype=object), **arrays)
    return path


def write_original(path: Path, arrays: dict[str, np.ndarray], protocol: int = 2) -> Path:
    """Write a model as the published pickles have it: chumpy objects, a sparse regressor, texts, arrays of objects."""
    with _chumpy() as (Ch, Select):
        base = Ch()
        stacked = np.concatenate([arrays["shapedirs"], np.ones_like(arrays["shapedirs"])], -1)
        base.__dict__.update(x=stacked, _dirty_vars={"x"}, _status="new")
        picked = np.arange(stacked.size).reshape(stacked.shape)[..., : arrays["shapedirs"].shape[2]]
        select = Select()
        select.__dict__.update(a=base, idxs=picked.ravel(), preferred_shape=picked.shape, itself=None)
        select.itself = select
        template = Ch()
        template.__dict__.update(x=arrays["v_template"])
        values: dict[str, Any] = arrays | {
            "v_template": template,
            "shapedirs": select,
            "J_regressor": csc_matrix(arrays["J_regressor"]),
            "bs_style": "lbs",
            "part2num": np.array({"head": 1}, dtype=object),
            "names": np.array(["a", "b"]),
        }
        path.write_bytes(pickle.dumps(values, protocol))
    return path


@contextmanager
def _chumpy() -> Iterator[tuple[type[Any], type[Any]]]:
    """Provide classes with the names of chumpy's, which are pickled in the same way, and take them away again."""
    made = {}
    for module, name in (("chumpy", ""), ("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")):
        sys.modules[module] = types.ModuleType(module)
        if name:
            made[name] = type(name, (), {"__module__": module})
            setattr(sys.modules[module], name, made[name])
    try:
        yield made["Ch"], made["Select"]
    finally:
        for module in ("chumpy", "chumpy.ch", "chumpy.reordering"):
            del sys.modules[module]


def _source(name: str, joints: tuple[str, ...]) -> str:
    """Return the joint of the embedded body at which a joint lies."""
    if name in free_body().joints:
        return name
    return "head" if "eye" in name or name == "jaw" else f"{name.split('_')[0]}_wrist"


def _parent(name: str, joints: tuple[str, ...]) -> int:
    free = free_body()
    if name in free.joints:
        parent = int(free.parents[free.joints.index(name)])
        return -1 if parent < 0 else joints.index(free.joints[parent])
    if name[-1] in "23":
        return joints.index(f"{name[:-1]}{int(name[-1]) - 1}")
    return joints.index(_source(name, joints))
