"""Detection of mirrored videos: cameras that see only the back of the board while others see the front."""

from __future__ import annotations

import dataclasses

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.adjustment.state import BoardImages
from core.calibration.board.initial.extrinsics import LEAST_FRAMES, board_poses, pair_graph
from core.calibration.board.initial.intrinsics import LEAST_IMAGES
from core.calibration.board.setup import Setup
from core.geometry import undistort
from core.types.camera import Camera

_CLEARLY = 0.5  # ratio of prediction errors with flipped and with original images of a mirrored camera


def mirrored_cameras(setup: Setup) -> tuple[str, ...]:
    """Return the cameras with mirrored images; all that see the board if none ever sees its front.

    If only some cameras see nothing but the back, the others decide: they predict mirrored images only after flipping.
    """
    seen = setup.seen
    if not seen.board.two_sided or seen.board.back == "numbered":
        return ()
    on_back = seen.point >= seen.board.points_per_side
    views = np.unique(seen.view)
    backs, fronts = ({int(v): _images(seen, (seen.view == v) & side) for v in views} for side in (on_back, ~on_back))
    only_back = [int(v) for v in views if backs[int(v)] >= LEAST_IMAGES and not fronts[int(v)]]
    if len(only_back) == len(views):
        return tuple(seen.cameras[v] for v in only_back)
    others = [int(v) for v in views if v not in only_back and setup.intrinsics[int(v)] is not None]
    found = []
    for v in only_back:
        if setup.intrinsics[v] is None or not others:
            continue
        as_seen, turned = (_prediction_px(setup, v, others, flip=turn) for turn in (False, True))
        if turned < _CLEARLY * as_seen:
            found.append(seen.cameras[v])
    return tuple(found)


def _images(seen: BoardObservations, chosen: np.ndarray) -> int:
    return len(np.unique(seen.frame[chosen]))


def _prediction_px(setup: Setup, v: int, others: list[int], *, flip: bool) -> float:
    """Return the median error of a camera's points predicted by the others, with original or flipped images."""
    seen, cameras = setup.seen, list(setup.intrinsics)
    seen = seen.where((seen.view == v) | np.isin(seen.view, others))
    if flip:
        own = seen.view == v
        last = float(seen.sizes_px[v, 0] - 1)
        xy_px, point = seen.xy_px.copy(), seen.point.copy()
        xy_px[own, 0] = last - xy_px[own, 0]
        point[own] -= seen.board.points_per_side
        seen = dataclasses.replace(seen, xy_px=xy_px, point=point)
        cameras[v] = _flipped(cameras[v], last)
    images = BoardImages.of(seen)
    poses = board_poses(images, cameras)
    graph = pair_graph(images, poses, len(cameras))
    other = others[int(np.argmax(graph.agreeing[v, others]))]
    if graph.agreeing[v, other] < LEAST_FRAMES:
        return np.inf
    there, here = (np.flatnonzero((images.view == view) & poses.known) for view in (other, v))
    _, i, j = np.intersect1d(images.frame[there], images.frame[here], return_indices=True)
    there, here = there[i], here[j]
    camera = cameras[v]
    assert camera is not None
    observed = undistort(camera, np.where(images.valid[here, :, None], images.xy_px[here], np.nan))
    R, t = graph.R[other, v] @ poses.R[there], (graph.R[other, v] @ poses.t_mm[there][..., None])[..., 0]
    local = images.board_mm[here][:, None] @ np.swapaxes(R, -1, -2) + (t + graph.t_mm[other, v])[:, :, None]
    error = np.linalg.norm(local[..., :2] / local[..., 2:] - observed[:, None], axis=-1)
    # The better of the two poses of a flat board in the other camera's image.
    return float(camera.K[0, 0] * np.median(np.nanmedian(error, axis=-1).min(1)))


def _flipped(camera: Camera | None, last: float) -> Camera | None:
    if camera is None:
        return None
    K, distortion = camera.K.copy(), camera.distortion.copy()
    K[0, 2] = last - K[0, 2]
    if camera.distortion_model == "pinhole" and len(distortion) > 3:
        distortion[3] *= -1  # p2, the tangential distortion along x
    return camera.replace(K=K, distortion=distortion)
