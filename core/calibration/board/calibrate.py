"""Calibration of a rig from observations of a board: intrinsics, poses and time offsets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.adjustment.bundle import BoardSolution
from core.calibration.board.adjustment.state import BoardImages
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.cross_validation import Prediction
from core.calibration.board.initial.extrinsics import BoardPoses, PairGraph
from core.calibration.board.initial.intrinsics import IntrinsicsFit
from core.calibration.board.mirrored import mirrored_cameras
from core.calibration.board.selection import Model, fit, fit_everything, select
from core.calibration.board.setup import InitialRig, Setup, initial_rig, make_setup, unconnected
from core.calibration.checks import fold_share
from core.errors import CoreError
from core.geometry.intrinsics import with_intrinsics
from core.progress import Reporter, check
from core.types.camera import Camera, CameraRig

_MAX_UNFOLDING = 4  # attempts to keep distortion from folding back inside the image; usually two suffice
_STEPS = ("Fitting the intrinsics", "Computing initial poses", "Selecting the model", "Adjusting all images")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardCalibration:
    """A rig calibrated from a board take.

    Attributes:
        rig: All cameras in the order of the observations; those that could not be calibrated have no pose. World
            coordinates are those of the best connected camera until a floor is set.
        missing: Reason by camera without pose.
        mirrored: Cameras with mirrored videos; if these are all, the rig is a mirror image.
        seen: Observations.
        images: Observations used in the adjustment, by image.
        poses: Poses of the board in single images.
        graph: Relative poses of pairs of cameras.
        solution: Cameras and trajectory adjusted to all images.
        prediction: Predictions of held-out time blocks by cameras fitted to the other blocks.
        fits: Intrinsics fitted to single cameras, by camera.
        external: Cameras whose intrinsics come from a separate recording, or were known.
        refined: Cameras whose intrinsics were refined together with the poses.
        time_offset: True if time offsets were estimated.
        notes: Sentences on the decisions of the model selection.
        lens_warnings: Sentence by camera whose lens does not fit the chosen distortion model.
    """

    rig: CameraRig
    missing: Mapping[str, str]
    mirrored: tuple[str, ...]
    seen: BoardObservations
    images: BoardImages
    poses: BoardPoses
    graph: PairGraph
    solution: BoardSolution
    prediction: Prediction
    fits: Mapping[str, IntrinsicsFit]
    external: tuple[str, ...]
    refined: tuple[str, ...]
    time_offset: bool
    notes: tuple[str, ...]
    lens_warnings: Mapping[str, str]

    @property
    def posed(self) -> tuple[str, ...]:
        """Names of the cameras that have a pose."""
        return tuple(c.name for c in self.rig if c.posed)


def calibrate_board(
    seen: BoardObservations,
    config: CalibrateConfig,
    reporter: Reporter,
    *,
    known: Mapping[str, Camera] | None = None,
    intrinsics_views: Sequence[BoardObservations] = (),
) -> BoardCalibration:
    """Estimate intrinsics, poses and time offsets of all cameras that saw the board.

    Args:
        seen: Observations of a board that is moved in front of all cameras.
        config: Settings.
        reporter: Receives progress, and reports cancellation.
        known: Cameras with known intrinsics, by name.
        intrinsics_views: Separate recordings of single cameras for the intrinsics.

    Raises:
        CoreError: The board was not found, or no two cameras can be connected.
        CancelledError: The reporter asked to stop.
    """
    if not len(seen):
        raise CoreError(
            f"The board was not found in {seen.source or 'the recording'}: {seen.board.title}.",
            "Compare its settings (kind, columns, rows, dictionary, first_id, inverted, legacy) with the print, or set"
            " board.kind=auto.",
        )

    def progress(done: int) -> None:
        reporter.progress(done, len(_STEPS), _STEPS[min(done, len(_STEPS) - 1)])
        check(reporter)

    progress(0)
    setup, fits, reasons = make_setup(seen, config, known or {}, intrinsics_views)
    mirrored = mirrored_cameras(setup)
    if 0 < len(mirrored) < len(np.unique(seen.view)):
        seen = seen.where(~np.isin(seen.view, [seen.cameras.index(name) for name in mirrored]))
        setup = dataclasses.replace(setup, seen=seen)
        reasons |= dict.fromkeys(mirrored, "Its video is mirrored.")
    progress(1)
    start = initial_rig(setup)
    reasons |= unconnected(setup, start, reasons)
    if start.connected.sum() < 2:
        raise CoreError(
            "No two cameras can be connected: " + " ".join(reasons.values()),
            "Show the board to two cameras at a time, held still or moved slowly, until all cameras share views.",
        )
    progress(2)
    selected, notes = select(setup, start, reporter)
    notes = [*setup.notes, *notes]
    progress(3)
    setup, solution = _unfold(setup, start, selected.model, fit_everything(setup, start, selected))
    if setup.stiffened:
        names = ", ".join(seen.cameras[v] for v in sorted(setup.stiffened))
        notes.append(f"Distortion of {names} is kept weak: the board never came near the corners of the image.")
    reporter.progress(len(_STEPS), len(_STEPS), _STEPS[-1])
    rig = CameraRig(
        cameras=tuple(_camera(setup, solution, start, v) for v in range(len(seen.cameras))),
        source=f"Calibrated from {seen.source}: {seen.board.title}.",
    )
    return BoardCalibration(
        rig=rig,
        missing=reasons,
        mirrored=mirrored,
        seen=seen,
        images=start.images,
        poses=start.poses,
        graph=start.graph,
        solution=solution,
        prediction=selected.prediction,
        fits=fits,
        external=tuple(n for v, n in enumerate(seen.cameras) if not setup.self_calibrated[v]),
        refined=tuple(n for v, n in enumerate(seen.cameras) if selected.model.refined[v] and start.connected[v]),
        time_offset=selected.model.time_offset,
        notes=tuple(notes),
        lens_warnings=setup.lens_warnings,
    )


def _unfold(setup: Setup, start: InitialRig, model: Model, solution: BoardSolution) -> tuple[Setup, BoardSolution]:
    """Tighten the prior of distortion that folds back inside the image where no points were observed."""
    for _ in range(_MAX_UNFOLDING):
        folding = [
            v
            for v, camera in enumerate(setup.intrinsics)
            if camera is not None
            and setup.self_calibrated[v]
            and model.refined[v]
            and fold_share(with_intrinsics(camera, solution.cameras.intrinsics[v])) < 1
        ]
        if not folding:
            break
        setup = setup.with_stiffer_distortion(folding)
        solution = fit(setup, start, np.ones(len(start.images), bool), model, solution)
    return setup, solution


def _camera(setup: Setup, solution: BoardSolution, start: InitialRig, v: int) -> Camera:
    """Return a camera of the rig; one without intrinsics has placeholders and no pose."""
    initial = setup.intrinsics[v]
    name, size = setup.seen.cameras[v], (int(setup.seen.sizes_px[v, 0]), int(setup.seen.sizes_px[v, 1]))
    if initial is None:
        K = np.array([[max(size), 0, (size[0] - 1) / 2], [0, max(size), (size[1] - 1) / 2], [0, 0, 1.0]])
        return Camera(name=name, size_px=size, K=K)
    camera = with_intrinsics(initial.replace(name=name, R=None, t_mm=None), solution.cameras.intrinsics[v])
    if not start.connected[v]:
        return camera
    squared = (solution.residual_px[start.images.view == v] ** 2).sum(-1)
    rmse = float(np.sqrt(np.nanmean(squared))) if np.isfinite(squared).any() else None
    # Only differences matter: the root's offset is 0 during adjustment, the median of all is 0 in the rig.
    time_offset = solution.cameras.time_offset_s - np.median(solution.cameras.time_offset_s[start.connected])
    return camera.replace(
        R=solution.cameras.R[v],
        t_mm=solution.cameras.t_mm[v],
        time_offset_s=float(time_offset[v]),
        rmse_px=rmse,
    )
