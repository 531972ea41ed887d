"""Reader of SMPL, SMPL-H and SMPL-X files, including pickles with chumpy objects; no code in them is run.

Loper et al. 2015 (SMPL), Romero et al. 2017 (SMPL-H), Pavlakos et al. 2019 (SMPL-X). Joints, mesh and keypoints are
those published with the models.

Legend: V vertex, F face, J joint, B shape component.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from core.body.model import BodyModel
from core.body.models.families import FAMILIES
from core.documents.arrays import read_npz
from core.documents.limits import bad_document, read_bounded
from core.documents.pickles import PickledObject, parse_pickle
from core.geometry.so3 import exp
from core.types.arrays import F64

_MM_PER_M = 1000.0
_N_SHAPE = 10
"""Number of shape components in use: joints do not determine later ones, and early SMPL-X files append expressions."""
_MAX_NESTING = 8
_MAX_VALUE = 1e6
_ARRAYS = ("v_template", "f", "weights", "shapedirs", "posedirs", "J_regressor", "kintree_table")
_HANDS, _FACE = ("hands_meanl", "hands_meanr"), ("lmk_faces_idx", "lmk_bary_coords")
"""Optional arrays: finger rotations of relaxed hands, and face landmarks (triangle, barycentric coordinates)."""
_REMEDY = "Choose a model file (.pkl or .npz) as published on the website of SMPL, SMPL-H or SMPL-X."
_SPARSE = {f"scipy.sparse.{module}.{kind}_matrix": kind for kind in ("csc", "csr") for module in (kind, f"_{kind}")}
_CHUMPY, _SELECT = "chumpy.ch.Ch", "chumpy.reordering.Select"
_OBJECTS = (_CHUMPY, _SELECT, *_SPARSE)

_BODY = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
)
_FINGERS = tuple(
    f"{side}_{finger}{k}"
    for side in ("left", "right")
    for finger in ("index", "middle", "pinky", "ring", "thumb")
    for k in (1, 2, 3)
)
JOINTS: Mapping[str, tuple[str, ...]] = {
    "smpl": (*_BODY, "left_hand", "right_hand"),
    "smplh": (*_BODY, *_FINGERS),
    "smplx": (*_BODY, "jaw", "left_eye_smplhf", "right_eye_smplhf", *_FINGERS),
}
"""Joint names by family."""
_N_VERTICES = {"smpl": 6890, "smplh": 6890, "smplx": 10475}
_LIMB_POINTS = tuple(
    f"{side}_{part}" for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle") for side in ("left", "right")
)
_SKIN_POINTS = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel"),
)
_SKIN_VERTICES = {
    "smpl": (332, 2800, 6260, 583, 4071, 3216, 6617, 3226, 6624, 3387, 6787),
    "smplh": (332, 2800, 6260, 583, 4071, 3216, 6617, 3226, 6624, 3387, 6787),
    "smplx": (9120, 9448, 9929, 6, 616, 5770, 8463, 5780, 8474, 8846, 8635),
}
KEYPOINTS = (*_SKIN_POINTS[:5], *_LIMB_POINTS, *_SKIN_POINTS[5:])
"""Keypoint names of all families, those of the free body."""


def read_smpl(path: Path) -> BodyModel:
    """Read a model file of the SMPL family; the model is named after family and gender, such as "smplx_female".

    Args:
        path: Pickle (with or without chumpy objects) or npz archive.

    Raises:
        CoreError: The file is missing, damaged, of another kind, or refers to code.
    """
    where = path.name
    arrays = _read_arrays(path)
    if missing := [key for key in _ARRAYS if key not in arrays]:
        raise bad_document(where, f"it has no array '{missing[0]}', which body models need", _REMEDY)
    family = _family(arrays, where)
    V, J = _N_VERTICES[family], len(JOINTS[family])
    n_shape = arrays["shapedirs"].shape[2] if arrays["shapedirs"].ndim == 3 else 0
    for key, shape in (
        ("v_template", (V, 3)),
        ("weights", (V, J)),
        ("shapedirs", (V, 3, n_shape)),
        ("posedirs", (V, 3, 9 * (J - 1))),
        ("J_regressor", (J, V)),
    ):
        _check_array(arrays[key], shape, f"{where}: {key}")
    parents = _parents(arrays["kintree_table"], J, f"{where}: kintree_table")
    f = arrays["f"]
    if f.ndim != 2 or f.shape[1] != 3 or f.dtype.kind not in "iu" or not f.size or f.min() < 0 or f.max() >= V:
        raise bad_document(f"{where}: f", "it is not a list of triangles of this mesh", _REMEDY)
    if not np.allclose(arrays["weights"].sum(1), 1, atol=1e-3):
        raise bad_document(f"{where}: weights", "the weights of a vertex do not sum to 1", _REMEDY)
    if all(key in arrays for key in _HANDS) and family != "smpl":
        for key in _HANDS:
            _check_array(arrays[key], (len(_FINGERS) // 2 * 3,), f"{where}: {key}")
    if all(key in arrays for key in _FACE):
        triangles, L = arrays["lmk_faces_idx"], len(np.atleast_1d(arrays["lmk_faces_idx"]))
        _check_array(triangles, (L,), f"{where}: lmk_faces_idx")
        _check_array(arrays["lmk_bary_coords"], (L, 3), f"{where}: lmk_bary_coords")
        if triangles.dtype.kind not in "iu" or triangles.min() < 0 or triangles.max() >= len(f):
            raise bad_document(f"{where}: lmk_faces_idx", "it refers to triangles that the mesh does not have", _REMEDY)
    return _model(family, _gender(path), parents, arrays)


def _model(family: str, gender: str, parents: np.ndarray, arrays: Mapping[str, np.ndarray]) -> BodyModel:
    template: F64 = arrays["v_template"].astype(float) * _MM_PER_M
    shape_dirs: F64 = arrays["shapedirs"][..., :_N_SHAPE].astype(float) * _MM_PER_M
    regressor, joints = arrays["J_regressor"].astype(float), JOINTS[family]
    joint_template, joint_dirs = regressor @ template, np.tensordot(regressor, shape_dirs, 1)
    at_joint = np.array([joints.index(point) for point in _LIMB_POINTS])
    at_vertex = np.array(_SKIN_VERTICES[family])
    head, feet = at_vertex[:5], at_vertex[5:]

    def keypoints(vertices: F64, of_joints: F64) -> F64:
        return np.concatenate([vertices[head], of_joints[at_joint], vertices[feet]])

    heaviest = arrays["weights"].argmax(1)
    relaxed, face = np.zeros((len(joints), 3)), {}
    if family != "smpl" and all(key in arrays for key in _HANDS):
        relaxed[joints.index(_FINGERS[0]) :] = np.concatenate([arrays[key] for key in _HANDS]).reshape(-1, 3)
    if all(key in arrays for key in _FACE):
        face["face_vertices"] = arrays["f"][arrays["lmk_faces_idx"]].astype(np.int64)
        face["face_weights"] = arrays["lmk_bary_coords"].astype(float)
    return BodyModel(
        name=f"{family}_{gender}",
        family=family,
        gender=gender,
        licence=FAMILIES[family].terms,
        joints=joints,
        parents=parents,
        template_mm=template.astype(np.float32),
        faces=arrays["f"].astype(np.int64),
        shape_dirs_mm=shape_dirs.astype(np.float32),
        pose_dirs_mm=np.moveaxis(arrays["posedirs"], 2, 0).astype(np.float32) * np.float32(_MM_PER_M),
        weights=arrays["weights"].astype(np.float32),
        joint_template_mm=joint_template,
        joint_dirs_mm=joint_dirs,
        keypoints=KEYPOINTS,
        keypoint_template_mm=keypoints(template, joint_template),
        keypoint_dirs_mm=keypoints(shape_dirs, joint_dirs),
        # A joint does not move with its own rotation, but with the bone above.
        keypoint_bones=np.concatenate([heaviest[head], parents[at_joint], heaviest[feet]]),
        relaxed=exp(relaxed),
        **face,
    )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    wanted = (*_ARRAYS, *_HANDS, *_FACE)
    if zipfile.is_zipfile(path):
        found = read_npz(path, wanted)
        if not found:
            hint = "If it is an archive from the website of a model, unpack it and choose the .pkl or .npz file in it."
            raise bad_document(path.name, "it contains no body model", hint)
        return found
    values = parse_pickle(read_bounded(path), path.name, _OBJECTS)
    if not isinstance(values, dict):
        raise bad_document(path.name, "it contains no body model", _REMEDY)
    return {key: _dense(values[key], f"{path.name}: {key}", 0) for key in wanted if key in values}


def _dense(value: Any, where: str, depth: int) -> np.ndarray:
    """Convert a stored value to an array as chumpy and scipy.sparse would."""
    if isinstance(value, np.ndarray):
        return value
    if depth < _MAX_NESTING and isinstance(value, PickledObject):
        inside = value.attributes
        try:
            if value.kind == _CHUMPY:
                return _dense(inside["x"], where, depth + 1)
            if value.kind == _SELECT:
                chosen = _dense(inside["a"], where, depth + 1).ravel()[np.asarray(inside["idxs"], np.int64).ravel()]
                shape = inside.get("preferred_shape")
                return chosen if shape is None else chosen.reshape([int(n) for n in shape])
            return _from_sparse(inside, _SPARSE[value.kind])
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise bad_document(where, f"it is damaged: {error}", _REMEDY) from error
    raise bad_document(where, f"it is a {type(value).__name__.lower()}, not an array of numbers", _REMEDY)


def _from_sparse(inside: Mapping[str, Any], kind: str) -> np.ndarray:
    """Convert a sparse matrix, stored by columns ("csc") or rows ("csr"), to a dense one."""
    rows, columns = (int(n) for n in inside.get("_shape") or inside["shape"])
    if not 0 < rows <= max(map(len, JOINTS.values())) or not 0 < columns <= max(_N_VERTICES.values()):
        raise ValueError(f"a matrix of {rows} x {columns} values")
    ends, across = (np.asarray(inside[key]).astype(np.int64) for key in ("indptr", "indices"))
    values, n = np.asarray(inside["data"], float), columns if kind == "csc" else rows
    if ends.shape != (n + 1,) or ends[0] != 0 or not 0 <= ends[-1] <= len(values) or across.min(initial=0) < 0:
        raise ValueError("an index is out of range")
    along = np.repeat(np.arange(n), np.diff(ends))
    out: np.ndarray = np.zeros((rows, columns))
    across = across[: len(along)]
    np.add.at(out, (across, along) if kind == "csc" else (along, across), values[: len(along)])
    return out


def _family(arrays: Mapping[str, np.ndarray], where: str) -> str:
    size = arrays["weights"].shape
    for family, joints in JOINTS.items():
        if size == (_N_VERTICES[family], len(joints)):
            return family
    known = ", ".join(f"{FAMILIES[name].title} {_N_VERTICES[name]} x {len(JOINTS[name])}" for name in JOINTS)
    text = f"it has skinning weights of shape {size}, which no known model has ({known} vertices x joints)"
    raise bad_document(where, text, _REMEDY)


def _check_array(array: np.ndarray, shape: tuple[int, ...], where: str) -> None:
    if array.shape != shape or 0 in shape:
        raise bad_document(where, f"it has shape {array.shape}, expected {shape}", _REMEDY)
    if array.dtype.kind not in "fiu" or not (np.abs(array) < _MAX_VALUE).all():
        raise bad_document(where, "it has values that are not numbers, or too large", _REMEDY)


def _parents(table: np.ndarray, n_joints: int, where: str) -> np.ndarray:
    """Return the parent of each joint; files store that of the root as -1 or as the equivalent unsigned number."""
    if table.shape != (2, n_joints) or table.dtype.kind not in "iu":
        raise bad_document(where, f"it has shape {table.shape}, expected (2, {n_joints})", _REMEDY)
    parents: np.ndarray = table[0].astype(np.int64)
    parents[0] = -1
    if bool((parents[1:] < 0).any() or (parents[1:] >= np.arange(1, n_joints)).any()):
        raise bad_document(where, "the joints are not a tree", _REMEDY)
    return parents


def _gender(path: Path) -> str:
    """Return the gender in the name of a file or of its folder."""
    for text in (path.stem, path.parent.name):
        for word in re.split(r"[^a-z]+", text.lower()):
            if word in ("f", "female"):
                return "female"
            if word in ("m", "male"):
                return "male"
            if word == "neutral":
                return "neutral"
    return "neutral"
