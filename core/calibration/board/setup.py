"""Initial state of a calibration: intrinsics of each camera with their prior, and initial camera poses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.adjustment.state import BoardImages, CameraPrior, Cameras, nominal_noise_px
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.initial.extrinsics import (
    LEAST_FRAMES,
    BoardPoses,
    PairGraph,
    board_poses,
    chain,
    pair_graph,
)
from core.calibration.board.initial.initialization import frame_period_s
from core.calibration.board.initial.intrinsics import LEAST_IMAGES, IntrinsicsFit, fit_intrinsics, intrinsics_prior
from core.calibration.board.initial.lens import fit_either_lens, lens_warning
from core.geometry.intrinsics import N_INTRINSICS, intrinsics_of
from core.types.camera import Camera

# Standard deviations of given intrinsics (judgement): focal length and principal point in px at 1280 px width, and
# distortion coefficients.
_GIVEN_SD_PX, _GIVEN_SD_DISTORTION = 5.0, 0.02
_STIFFER = (4.0, 16.0)  # factors on the information of k1 and k2 if distortion folds back


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setup:
    """Data common to all models of a calibration.

    Attributes:
        seen: Observations.
        intrinsics: (V,) cameras with initial intrinsics; None if unknown.
        prior: Prior of the intrinsics and time offsets.
        period_s: Median time between frames.
        noise_px: Nominal noise of a coordinate.
        self_calibrated: (V,) mask of cameras whose intrinsics were fitted to the same observations.
        config: Settings.
        stiffened: Cameras with a tightened prior of distortion.
        notes: Sentences on the choice of distortion models.
        lens_warnings: Sentence by camera whose lens does not fit the chosen distortion model.
    """

    seen: BoardObservations
    intrinsics: tuple[Camera | None, ...]
    prior: CameraPrior
    period_s: float
    noise_px: float
    self_calibrated: np.ndarray
    config: CalibrateConfig
    stiffened: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()
    lens_warnings: Mapping[str, str] = field(default_factory=dict)

    def with_stiffer_distortion(self, views: Sequence[int]) -> Setup:
        """Return the setup with a tighter prior of radial distortion for some cameras."""
        information = self.prior.information.copy()
        for v in views:
            information[v, 4, 4] *= _STIFFER[0]
            information[v, 5, 5] *= _STIFFER[1]
        prior = dataclasses.replace(self.prior, information=information)
        return dataclasses.replace(self, prior=prior, stiffened=self.stiffened | set(views))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InitialRig:
    """Initial poses, and observations by cameras with a pose.

    Attributes:
        images: Observations by connected cameras.
        poses: Poses of the board in these images.
        graph: Relative poses of pairs of cameras.
        cameras: Initial cameras.
        connected: (V,) mask of cameras with an initial pose.
        root: Camera whose pose defines the world coordinates.
    """

    images: BoardImages
    poses: BoardPoses
    graph: PairGraph
    cameras: Cameras
    connected: np.ndarray
    root: int


def make_setup(
    seen: BoardObservations,
    config: CalibrateConfig,
    known: Mapping[str, Camera],
    intrinsics_views: Sequence[BoardObservations],
) -> tuple[Setup, dict[str, IntrinsicsFit], dict[str, str]]:
    """Initialise the intrinsics of all cameras: known, or fitted to a separate recording or to this one.

    Returns:
        The setup, fits by camera, and reasons by camera without intrinsics.
    """
    fits: dict[str, IntrinsicsFit] = {}
    notes: dict[str, str] = {}
    warnings: dict[str, str] = {}
    for source in (seen, *intrinsics_views):  # a separate recording takes precedence over the common one
        names = [name for name in source.cameras if name in seen.cameras]
        if config.distortion_model != "auto":
            chosen = fit_intrinsics(source, names, config.distortion_model)
            fits |= chosen
            warnings |= {name: lens_warning(source, name, fit) for name, fit in chosen.items()}
            names = []
        for name in names:
            usual = known[name].distortion_model if name in known else "pinhole"
            fit, note = fit_either_lens(source, name, usual)
            if fit is not None:
                fits[name], notes[name] = fit, note
        if source is seen:
            from_here = dict(fits)
    reasons: dict[str, str] = {}
    initial: list[Camera | None] = []
    self_calibrated = np.zeros(len(seen.cameras), bool)
    means = np.zeros((len(seen.cameras), N_INTRINSICS))
    information = np.zeros((len(seen.cameras), N_INTRINSICS, N_INTRINSICS))
    for v, name in enumerate(seen.cameras):
        given, fit = known.get(name), fits.get(name)
        size = (int(seen.sizes_px[v, 0]), int(seen.sizes_px[v, 1]))
        if given is not None and (config.fixed_intrinsics or fit is None):
            initial.append(given)
            sd = np.full(N_INTRINSICS, _GIVEN_SD_DISTORTION)
            sd[:4] = _GIVEN_SD_PX * max(given.size_px) / 1280
            means[v], information[v] = intrinsics_of(given), np.diag(sd**-2)
        elif fit is not None:
            initial.append(fit.camera)
            self_calibrated[v] = fit is from_here.get(name)
            means[v], information[v] = intrinsics_of(fit.camera), fit.information
            if self_calibrated[v]:  # the same images must not count twice
                focal = float(fit.camera.K[0, 0])
                means[v], information[v] = intrinsics_prior(size, fit.camera.distortion_model, focal)
        else:
            initial.append(None)
            means[v], information[v] = intrinsics_prior(size, "pinhole", float(max(size)))
            count = len(np.unique(seen.frame[seen.view == v]))
            reasons[name] = (
                f"{name} sees the board in {count} images, too few for its intrinsics."
                if count < LEAST_IMAGES
                else f"The intrinsics of {name} could not be fitted to its {count} images of the board."
            )
    setup = Setup(
        seen=seen,
        intrinsics=tuple(initial),
        prior=CameraPrior(intrinsics=means, information=information),
        period_s=frame_period_s(seen),
        noise_px=nominal_noise_px(seen.sizes_px),
        self_calibrated=self_calibrated,
        config=config,
        notes=tuple(note for note in notes.values() if note),
        lens_warnings={name: text for name, text in warnings.items() if text},
    )
    return setup, fits, reasons


def initial_rig(setup: Setup) -> InitialRig:
    """Return initial poses of all cameras connected by pairs with common views."""
    seen = setup.seen
    images = BoardImages.of(seen)
    images = images.where(np.array([c is not None for c in setup.intrinsics])[images.view])
    poses = board_poses(images, setup.intrinsics)
    graph = pair_graph(images, poses, len(seen.cameras))
    R, t, connected, root = chain(graph)
    used = connected[images.view]
    params = [
        prior if c is None else intrinsics_of(c)
        for c, prior in zip(setup.intrinsics, setup.prior.intrinsics, strict=True)
    ]
    cameras = Cameras(
        distortion_model=tuple("pinhole" if c is None else c.distortion_model for c in setup.intrinsics),
        intrinsics=np.stack(params),
        R=R,
        t_mm=t,
        time_offset_s=np.zeros(len(seen.cameras)),
    )
    return InitialRig(
        images=images.where(used),
        poses=poses.where(used),
        graph=graph,
        cameras=cameras,
        connected=connected,
        root=root,
    )


def unconnected(setup: Setup, rig: InitialRig, reasons: Mapping[str, str]) -> dict[str, str]:
    """Return the reason by camera with known intrinsics but without pose."""
    out = {}
    for v, name in enumerate(setup.seen.cameras):
        if rig.connected[v] or name in reasons:
            continue
        most = int(np.argmax(rig.graph.shared[v]))
        shared, agreeing = int(rig.graph.shared[v, most]), int(rig.graph.agreeing[v, most])
        other = setup.seen.cameras[most]
        if shared < LEAST_FRAMES:
            out[name] = f"{name} shares at most {shared} frames of the board with another camera ({other})."
        else:
            out[name] = f"{name} shares {shared} frames with {other}, but only {agreeing} agree on their relative pose."
    return out
