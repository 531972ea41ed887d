"""Mesh simplification of body models, for bodies that are small on the screen.

Edges are collapsed onto one of their ends in the order of quadric errors (Garland and Heckbert 1997). Remaining
vertices keep their shape components and skinning weights, so that a coarser model takes the same poses. Many edges with
disjoint neighbourhoods are collapsed at once.

Legend: V vertex, F face, E edge.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from core.body.model import BodyModel
from core.types.arrays import F64, I64

_PER_VERTEX = ("template_mm", "shape_dirs_mm", "weights")
_LENGTH_SHARE = 2e-3  # weight of squared edge length in the cost, for well-shaped triangles in flat parts
_MIN_TURN = 0.3  # smallest cosine between normals of a face before and after a collapse


@functools.lru_cache(maxsize=8)
def simplified(model: BodyModel, n_vertices: int) -> BodyModel:
    """Return a model with about `n_vertices` vertices, or the model itself if it has no more."""
    if len(model.template_mm) <= n_vertices:
        return model
    kept, faces = collapse_edges(model.template_mm.astype(np.float64), model.faces, n_vertices)
    rows = {name: getattr(model, name)[kept] for name in _PER_VERTEX}
    pose_dirs = None if model.pose_dirs_mm is None else model.pose_dirs_mm[:, kept]
    none = {name: getattr(model, name)[:0] for name in ("face_vertices", "face_weights")}
    return dataclasses.replace(model, faces=faces, pose_dirs_mm=pose_dirs, **rows, **none)


def collapse_edges(vertices: F64, faces: I64, n_vertices: int) -> tuple[I64, I64]:
    """Simplify a mesh to `n_vertices` vertices, or more if no further collapse preserves its topology.

    Args:
        vertices: (V, 3) positions.
        faces: (F, 3) vertex indices.
        n_vertices: Target number of vertices.

    Returns:
        Indices (n,) of the remaining vertices, and faces (m, 3) in terms of these.
    """
    quadrics = _quadrics(vertices, faces)
    remaining = len(np.unique(faces))
    unsound = np.zeros(0, np.int64)
    while remaining > n_vertices:
        source, target = _independent_collapses(vertices, faces, quadrics, unsound)
        if not len(source):
            break
        flips = _flips(vertices, faces, source, target)
        unsound = np.concatenate([unsound, (source * len(vertices) + target)[flips]])
        source, target = (ends[~flips][: remaining - n_vertices] for ends in (source, target))
        moved = np.arange(len(vertices))
        moved[source] = target
        np.add.at(quadrics, target, quadrics[source])
        faces = moved[faces]
        faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])]
        remaining -= len(source)
    kept, renumbered = np.unique(faces, return_inverse=True)
    return kept.astype(np.int64), renumbered.reshape(-1, 3).astype(np.int64)


def _quadrics(vertices: F64, faces: I64) -> F64:
    """Return the quadric (V, 4, 4) of each vertex: the sum of squared distances to the planes of its faces."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    plane = np.concatenate([normal, -(normal * a).sum(1, keepdims=True)], 1)
    forms = plane[:, :, None] * plane[:, None]
    out = np.zeros((len(vertices), 4, 4))
    for corner in range(3):
        np.add.at(out, faces[:, corner], forms)
    return out


def _independent_collapses(vertices: F64, faces: I64, quadrics: F64, unsound: I64) -> tuple[I64, I64]:
    """Return sources and targets of collapses, cheapest first, except those in `unsound`, coded as s * V + t."""
    V = len(vertices)
    directed = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    pairs = coo_matrix((np.ones(len(directed)), directed.T), (V, V)).tocsr()
    pairs = (pairs + pairs.T).tocsr()  # number of faces at each edge
    source, target = pairs.nonzero()
    rim = np.zeros(V, bool)
    rim[source[np.asarray(pairs[source, target]).ravel() != 2]] = True
    neighbours = csr_matrix((np.ones(len(source)), (source, target)), (V, V))
    shared = np.asarray((neighbours @ neighbours)[source, target]).ravel()
    allowed = (shared == 2) & ~rim[source] & ~np.isin(source * V + target, unsound)
    source, target = source[allowed], target[allowed]
    place = np.concatenate([vertices[target], np.ones((len(target), 1))], 1)
    cost = np.einsum("ei,eij,ej->e", place, quadrics[source], place, optimize=True)
    cost = np.maximum(cost, 0) + _LENGTH_SHARE * ((vertices[source] - vertices[target]) ** 2).sum(1)
    order = np.argsort(cost, kind="stable")
    source, target = source[order], target[order]
    rank = np.arange(len(source))
    best = np.full(V, len(source))
    np.minimum.at(best, source, rank)
    np.minimum.at(best, target, rank)
    row, column = neighbours.nonzero()
    around = best.copy()
    np.minimum.at(around, row, best[column])
    chosen = (around[source] == rank) & (around[target] == rank)
    return source[chosen].astype(np.int64), target[chosen].astype(np.int64)


def _flips(vertices: F64, faces: I64, source: I64, target: I64) -> np.ndarray:
    """Return the mask (E,) of collapses that flip or degenerate a face."""
    number = np.full(len(vertices), -1)
    number[source] = np.arange(len(source))
    out = np.zeros(len(source), bool)
    moved = np.arange(len(vertices))
    moved[source] = target
    edge = number[faces].max(1)
    touched = faces[edge >= 0]
    edge = edge[edge >= 0]
    after = moved[touched]
    whole = (after[:, 0] != after[:, 1]) & (after[:, 1] != after[:, 2]) & (after[:, 2] != after[:, 0])
    before, after, edge = vertices[touched[whole]], vertices[after[whole]], edge[whole]
    n0, n1 = (np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]) for x in (before, after))
    cosine = (n0 * n1).sum(1) / np.maximum(np.linalg.norm(n0, axis=1) * np.linalg.norm(n1, axis=1), 1e-12)
    out[edge[cosine < _MIN_TURN]] = True
    return out
