"""From observations of a board to a rig: lenses, poses, time offsets, and which refinements have earned their place."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.bundle import (
    N_UNKNOWNS,
    NUMBERS,
    POSE,
    TIME_OFFSET,
    USUAL_PX,
    Cameras,
    Images,
    Prior,
    Solution,
    accelerations,
    hand,
    solve,
)
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.cross_validation import BLOCKS, Prediction, blocks, gain, left_out_gain, predict
from core.calibration.board.extrinsics import LEAST_FRAMES, BoardPoses, PairGraph, board_poses, chain, pair_graph
from core.calibration.board.folds import CONTRADICT, copies, disagreement, joined, losses
from core.calibration.board.initialization import initial_trajectory, numbers_of, period_of, with_numbers
from core.calibration.board.intrinsics import LEAST_IMAGES, SOLVED, IntrinsicsFit, fit_intrinsics, intrinsics_prior
from core.calibration.checks import fold_share
from core.errors import CoreError
from core.geometry.so3 import mean
from core.progress import Reporter, check
from core.types.arrays import I64
from core.types.camera import Camera, CameraRig, DistortionModel

_CERTAIN = 1.0  # standard errors by which held-out error must fall for time offsets to be believed
_LATE = 2.0  # standard errors by which a time offset must differ from the others' to be believed
_FASTEST_MS = 3.0  # a time offset smaller than this is none
_LEAST_RATE_HZ = 2.5  # of frames, for time offsets
_AT_FIRST = 8.0
_ROUGH = 5e-4  # where variants are only compared
_KNOWN_SD = (5.0, 0.02)  # of a lens from elsewhere: px at 1280 px width, and of its distortion
_UNFOLDED = 4  # attempts to keep a distortion from folding inside the image
_GATED = 240  # frames on which variants are compared, in bursts
_NONE_LATE = "No camera is late: time offsets would not predict held-out frames better."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardCalibration:
    """What a board take says of the cameras.

    Attributes:
        rig: All cameras in the order of the observations; those that could not be calibrated have no pose. World frame:
            that of the best connected camera, until a floor is set.
        missing: Camera to the reason why it has no pose.
        seen: The observations.
        images: The same, as solved.
        poses: The board in single images.
        graph: What cameras have seen the board together.
        solution: Cameras and the board's way, fitted to everything.
        prediction: Held-out stretches, each predicted with cameras fitted to the other stretches.
        lenses: Fits of each camera alone, by name.
        apart: Cameras whose lens comes from a recording of its own, or was known.
        refined: Cameras whose lens was refined together with the poses.
        time offset: Whether time offsets were found and are worth having.
        remarks: What was decided, in sentences.
    """

    rig: CameraRig
    missing: Mapping[str, str]
    seen: BoardObservations
    images: Images
    poses: BoardPoses
    graph: PairGraph
    solution: Solution
    prediction: Prediction
    lenses: Mapping[str, IntrinsicsFit]
    apart: tuple[str, ...]
    refined: tuple[str, ...]
    time_offset: bool
    remarks: tuple[str, ...]

    @property
    def posed(self) -> tuple[str, ...]:
        """Cameras that have a pose."""
        return tuple(c.name for c in self.rig if c.posed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Start:
    """Where solving starts, for some of the frames."""

    images: Images
    poses: BoardPoses
    graph: PairGraph
    cameras: Cameras
    reached: np.ndarray
    root: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Setting:
    """What stays the same through all variants."""

    seen: BoardObservations
    lenses: list[Camera | None]
    prior: Prior
    period_s: float
    scale_px: float
    fitted_here: np.ndarray  # (V,) lens comes from these very images
    config: CalibrateConfig
    simpler: frozenset[int] = frozenset()


def calibrate_board(
    seen: BoardObservations,
    config: CalibrateConfig,
    reporter: Reporter,
    *,
    known: Mapping[str, Camera] | None = None,
    lens_views: Sequence[BoardObservations] = (),
) -> BoardCalibration:
    """Solves lenses, poses and time offsets of all cameras that saw the board.

    Args:
        seen: The board, waved in front of all cameras.
        config: Settings.
        reporter: Told of the steps; asked whether to stop.
        known: Lenses by camera that are known beforehand.
        lens_views: Further recordings, of single cameras, that serve the lenses only.

    Raises:
        CoreError: The board was not found, or no two cameras can be connected; with the remedy.
        CancelledError: The reporter asked to stop.
    """
    if not len(seen):
        raise CoreError(
            f"The board was not found in {seen.source or 'the recording'}: {seen.board.title}.",
            "Check the board's settings (columns, rows, dictionary, inverted, legacy) against the print.",
        )
    steps = ("Fitting the lenses", "Solving the poses", "Checking on held-out frames", "Solving with everything")

    def told(done: int) -> None:
        reporter.progress(done, len(steps), steps[done])
        check(reporter)

    told(0)
    setting, fits, reasons = _setting(seen, config, known or {}, lens_views)
    told(1)
    start = _start(setting, None)
    reasons |= _unconnected(setting, start, reasons)
    if start.reached.sum() < 2:
        raise CoreError(
            "No two cameras can be connected: " + " ".join(reasons.values()),
            "Show the board to two cameras at a time, held still or moved slowly, until every camera shares views.",
        )
    told(2)
    folds = _folds(setting, start)
    chosen, halves, prediction, remarks = _choose(setting, start, folds, reporter)
    told(3)
    everything = [np.ones(len(start.images), bool)]
    solution = _of_all(setting, start, folds, chosen, halves)
    for _ in range(_UNFOLDED):
        folding = _folding(setting, solution, chosen)
        if not folding:
            break
        setting = _simpler(setting, folding)
        solution = _solve(setting, start, everything, chosen, solution)
    if setting.simpler:
        names = ", ".join(seen.cameras[v] for v in sorted(setting.simpler))
        remarks.append(f"The board never came near the corners of {names}: their distortion is kept simple there.")
    reporter.progress(len(steps), len(steps), steps[-1])
    rig = CameraRig(
        cameras=tuple(_camera(setting, solution, start, v) for v in range(len(seen.cameras))),
        source=f"Calibrated from {seen.source}: {seen.board.title}.",
    )
    return BoardCalibration(
        rig=rig,
        missing=reasons,
        seen=seen,
        images=start.images,
        poses=start.poses,
        graph=start.graph,
        solution=solution,
        prediction=prediction,
        lenses=fits,
        apart=tuple(n for v, n in enumerate(seen.cameras) if not setting.fitted_here[v]),
        refined=tuple(n for v, n in enumerate(seen.cameras) if chosen.refined[v] and start.reached[v]),
        time_offset=chosen.time_offset,
        remarks=tuple(remarks),
    )


def _setting(
    seen: BoardObservations,
    config: CalibrateConfig,
    known: Mapping[str, Camera],
    lens_views: Sequence[BoardObservations],
) -> tuple[_Setting, dict[str, IntrinsicsFit], dict[str, str]]:
    """First lenses of all cameras: known, from recordings of their own, or from these images."""
    fits: dict[str, IntrinsicsFit] = {}
    reasons: dict[str, str] = {}
    lenses: list[Camera | None] = []
    here = np.zeros(len(seen.cameras), bool)
    numbers, information = np.zeros((len(seen.cameras), 12)), np.zeros((len(seen.cameras), 12, 12))
    for source in (seen, *lens_views):  # a recording of its own counts more than the common one
        for model in ("pinhole", "fisheye"):
            names = [n for n in source.cameras if n in seen.cameras and _model(config, known.get(n)) == model]
            fits |= fit_intrinsics(source, names, model) if names else {}
        if source is seen:
            from_here = dict(fits)
    for v, name in enumerate(seen.cameras):
        keep, fit = known.get(name), fits.get(name)
        size = (int(seen.sizes_px[v, 0]), int(seen.sizes_px[v, 1]))
        if keep is not None and (config.fixed_intrinsics or fit is None):
            lenses.append(keep)
            sd = np.full(12, _KNOWN_SD[1])
            sd[:4] = _KNOWN_SD[0] * max(keep.size_px) / 1280
            numbers[v], information[v] = numbers_of(keep), np.diag(sd**-2)
        elif fit is not None:
            lenses.append(fit.camera)
            here[v] = fit is from_here.get(name)
            numbers[v], information[v] = numbers_of(fit.camera), fit.information
            if here[v]:  # these very images will speak for themselves
                numbers[v], information[v] = intrinsics_prior(
                    size, fit.camera.distortion_model, float(fit.camera.K[0, 0])
                )
        else:
            lenses.append(None)
            numbers[v], information[v] = intrinsics_prior(size, "pinhole", float(max(size)))
            count = len(np.unique(seen.frame[seen.view == v]))
            reasons[name] = (
                f"{name} saw the board in {count} images, too few for its lens."
                if count < LEAST_IMAGES
                else f"The lens of {name} could not be fitted to its {count} images of the board."
            )
    prior = Prior(numbers=numbers, information=information)
    scale = USUAL_PX * float(seen.sizes_px.max(1).mean())
    setting = _Setting(
        seen=seen,
        lenses=lenses,
        prior=prior,
        period_s=period_of(seen),
        scale_px=scale,
        fitted_here=here,
        config=config,
    )
    return setting, fits, reasons


def _model(config: CalibrateConfig, known: Camera | None) -> DistortionModel:
    """Which distortion model to fit."""
    if config.distortion_model != "auto":
        return config.distortion_model
    return "pinhole" if known is None else known.distortion_model


def _folding(setting: _Setting, solution: Solution, variant: _Variant) -> list[int]:
    """Cameras whose distortion, as solved here, folds back inside the image, where no point of the board has been."""
    return [
        v
        for v, distortion_model in enumerate(setting.lenses)
        if distortion_model is not None
        and setting.fitted_here[v]
        and variant.refined[v]
        and fold_share(with_numbers(distortion_model, solution.cameras.numbers[v])) < 1
    ]


def _simpler(setting: _Setting, views: list[int]) -> _Setting:
    """The same with less trust in strong distortion terms of some cameras."""
    information = setting.prior.information.copy()
    for v in views:
        information[v, 4, 4] *= 4
        information[v, 5, 5] *= 16
    prior = dataclasses.replace(setting.prior, information=information)
    return dataclasses.replace(setting, prior=prior, simpler=setting.simpler | set(views))


def _start(setting: _Setting, frames: np.ndarray | None) -> _Start:
    """First poses from the chosen frames (T,); lenses as they are."""
    seen = setting.seen
    images = Images.of(seen)
    usable = np.array([distortion_model is not None for distortion_model in setting.lenses])[images.view]
    if frames is not None:
        usable &= frames[images.frame]
    images = images.where(usable)
    poses = board_poses(images, setting.lenses)
    graph = pair_graph(images, poses, len(seen.cameras))
    R, t, reached, root = chain(graph)
    in_rig = reached[images.view]
    distortion_model = tuple("pinhole" if c is None else c.distortion_model for c in setting.lenses)
    numbers = np.stack(
        [p if c is None else numbers_of(c) for c, p in zip(setting.lenses, setting.prior.numbers, strict=True)]
    )
    cameras = Cameras(
        distortion_model=distortion_model, numbers=numbers, R=R, t_mm=t, time_offset_s=np.zeros(len(seen.cameras))
    )
    return _Start(
        images=images.where(in_rig),
        poses=poses.where(in_rig),
        graph=graph,
        cameras=cameras,
        reached=reached,
        root=root,
    )


def _unconnected(setting: _Setting, start: _Start, reasons: Mapping[str, str]) -> dict[str, str]:
    """Why cameras whose lens is known have no pose."""
    out = {}
    for v, name in enumerate(setting.seen.cameras):
        if start.reached[v] or name in reasons:
            continue
        most = int(np.argmax(start.graph.shared[v]))
        shared, agreeing = int(start.graph.shared[v, most]), int(start.graph.agreeing[v, most])
        other = setting.seen.cameras[most]
        if shared < LEAST_FRAMES:
            out[name] = f"{name} saw the board together with another camera in {shared} frames at most ({other})."
        else:
            out[name] = f"{name} shares {shared} frames with {other}, but only {agreeing} agree on where they stand."
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Variant:
    """What is solved for beside the poses."""

    time_offset: bool
    refined: np.ndarray  # (V,)


def _solve(
    setting: _Setting,
    start: _Start,
    folds: list[np.ndarray],
    variant: _Variant,
    from_: Solution | Cameras | None = None,
    tolerance: float = 1e-5,
) -> Solution:
    """Cameras and the board's way for one variant, from each of several sets of images (P,), in one system."""
    known = from_.cameras if isinstance(from_, Solution) else from_
    views = len(start.reached)
    images, rows = start.images.apart([np.flatnonzero(f) for f in folds], np.arange(len(folds)) * views)
    reached = np.tile(start.reached, len(folds)) & np.isin(np.arange(views * len(folds)), images.view)
    free = np.zeros((len(reached), N_UNKNOWNS), bool)
    free[:, POSE] = True
    free[:, TIME_OFFSET] = variant.time_offset
    free[:, NUMBERS.start + SOLVED] = np.tile(variant.refined, len(folds))[:, None]
    free[~reached] = False
    free[start.root :: views, :7] = False
    usual = hand(setting.period_s)
    cameras = start.cameras.tiled(len(folds)) if known is None else known
    if isinstance(from_, Solution):
        way = from_.way
    else:
        way = initial_trajectory(setting.period_s, images, start.poses.where(rows), cameras)
    prior = setting.prior.tiled(len(folds))
    if not isinstance(from_, Solution) or (variant.time_offset and not from_.cameras.time_offset_s.any()):
        # Seen at a wrong time the board is far off: at first that must not count as unusual.
        rough = solve(
            images,
            cameras,
            way,
            free,
            prior,
            scale_px=_AT_FIRST * setting.scale_px,
            hand=usual,
            steps=15,
            tolerance=1e-2,
        )
        cameras, way = rough.cameras, rough.way
    for _ in range(4):
        solution = solve(
            images,
            cameras,
            way,
            free,
            prior,
            scale_px=setting.scale_px,
            hand=usual,
            steps=40 if tolerance < _ROUGH else 24,
            tolerance=tolerance,
        )
        cameras, way = solution.cameras, solution.way
        # Motion that is faster than usual is believed once it is seen.
        faster = hand(setting.period_s, accelerations(way))
        if faster[0] < 1.3 * usual[0] and faster[1] < 1.3 * usual[1]:
            break
        usual = faster
    return solution


def _folds(setting: _Setting, start: _Start) -> list[np.ndarray]:
    """(P,) images of every other stretch, and of those in between; as many as it takes to tell variants apart."""
    stretch = blocks(start.images, len(setting.seen.time_s))
    number = stretch[start.images.frame]
    enough = _first_of_each(stretch, np.unique(start.images.frame))[start.images.frame]
    return [(number % 2 == 0) & enough, (number % 2 == 1) & enough]


def _choose(
    setting: _Setting, start: _Start, folds: list[np.ndarray], reporter: Reporter
) -> tuple[_Variant, Solution, Prediction, list[str]]:
    """Which refinements predict held-out stretches better; the fits to both halves and their predictions with those."""
    views = len(start.reached)
    stretch = blocks(start.images, len(setting.seen.time_s))
    nothing = np.zeros(views, bool)

    def predicted(solution: Solution, *, left_out_too: bool) -> Prediction:
        return predict(
            start.images,
            start.poses,
            folds[::-1],
            solution.cameras,
            setting.period_s,
            setting.scale_px,
            solution.hand,
            solution.sigma_px,
            left_out_too=left_out_too,
        )

    def attempt(variant: _Variant, before: Solution | None) -> tuple[Solution, Prediction]:
        check(reporter)
        halves = _solve(setting, start, folds, variant, before, _ROUGH)
        solution = _reconciled(setting, start, folds, variant, halves)
        return solution, predicted(solution, left_out_too=False)

    def better(after: Prediction, view: int | None = None, certain: float = 0.0) -> bool:
        return gain(prediction, after, stretch, setting.scale_px, view) > certain

    doubtful = False
    best, remarks = _Variant(time_offset=False, refined=nothing), []
    solution, prediction = attempt(best, None)
    if setting.config.time_offset and setting.period_s <= 1 / _LEAST_RATE_HZ:
        variant = _Variant(time_offset=True, refined=nothing)
        trial, result = attempt(variant, solution)
        certain = _CERTAIN
        if not better(result, certain=certain):
            # Half the recording may be too little for a camera's time offset: what both halves say of it is tried as well.
            held = dataclasses.replace(best, time_offset=False)
            trial, result = attempt(held, _pooled(trial, views))
            certain = 2 * _CERTAIN  # as they have seen what they are judged by
        if better(result, certain=certain) and _differ(trial, views):
            doubtful = not better(result, certain=2 * _CERTAIN)
            best, solution, prediction = variant, trial, result
        else:
            remarks.append(_NONE_LATE)
    elif setting.config.time_offset:
        remarks.append("The recording has too few frames a second to tell whether a camera is late.")
    if setting.config.refine:
        variant = dataclasses.replace(best, refined=start.reached.copy())
        trial, result = attempt(variant, solution)
        gains = np.array([bool(start.reached[v]) and better(result, v) for v in range(views)])
        if better(result):
            gains = start.reached.copy()
        elif gains.any():
            variant = dataclasses.replace(best, refined=gains)
            trial, result = attempt(variant, solution)
        if gains.any() and better(result):
            best, solution, prediction = variant, trial, result
            if best.time_offset and doubtful:
                # With a poor lens time offsets may only have made up for it: are they still worth having?
                variant = dataclasses.replace(best, time_offset=False)
                trial, result = attempt(variant, _in_step(solution))
                apart = [predicted(some, left_out_too=True) for some in (trial, solution)]
                helps = gain(result, prediction, stretch, setting.scale_px) > _CERTAIN
                if not (helps and left_out_gain(apart[0], apart[1], setting.scale_px) > 0):
                    best, solution, prediction = variant, trial, result
                    remarks.append(_NONE_LATE)
        names = [n for v, n in enumerate(setting.seen.cameras) if best.refined[v]]
        remarks.append(
            f"Lenses solved together with the poses, because held-out error falls: {', '.join(names)}."
            if names
            else "Lenses stay as each camera's own images say: refining them does not lower held-out error."
        )
    return best, solution, predicted(solution, left_out_too=True), remarks


def _reconciled(
    setting: _Setting, start: _Start, folds: list[np.ndarray], variant: _Variant, halves: Solution
) -> Solution:
    """Both halves of the recording; where they contradict each other, each from what the other says, if that fits."""
    views = len(start.reached)
    if disagreement(halves, halves, 0, 1, views).max() < CONTRADICT:
        return halves
    turned = _solve(setting, start, folds, variant, copies(halves.cameras, (1, 0), views), _ROUGH)
    images, _ = start.images.apart([np.flatnonzero(f) for f in folds], np.arange(len(folds)) * views)
    before, after = (losses(some, images, setting.scale_px, views) for some in (halves, turned))
    if (before <= after).all():
        return halves
    if (after <= before).all():
        return turned
    best = (0 if before[0] <= after[0] else 2, 1 if before[1] <= after[1] else 3)
    return _solve(setting, start, folds, variant, copies(joined(halves.cameras, turned.cameras), best, views), _ROUGH)


def _of_all(setting: _Setting, start: _Start, folds: list[np.ndarray], variant: _Variant, halves: Solution) -> Solution:
    """The fit to everything, from between the halves; where these contradict each other, from each, the better one."""
    views = len(start.reached)
    everything = [np.ones(len(start.images), bool)]
    if disagreement(halves, halves, 0, 1, views).max() < CONTRADICT:
        return _solve(setting, start, everything, variant, _between(halves.cameras, start, folds))
    fits = [
        _solve(setting, start, everything, variant, copies(halves.cameras, (half,), views))
        for half in range(len(folds))
    ]
    images, _ = start.images.apart([np.arange(len(start.images))], np.zeros(1, int))
    return min(fits, key=lambda fit: float(losses(fit, images, setting.scale_px, views)[0]))


def _between(fits: Cameras, start: _Start, folds: list[np.ndarray]) -> Cameras:
    """Cameras halfway between the fits to both halves, to solve with everything from."""
    views = len(start.reached)
    seen = np.stack([np.bincount(start.images.view[f], minlength=views) > 0 for f in folds])  # (F, V)
    share = np.where(seen.any(0), seen, 1.0)  # those that no fit has seen are where they were at first
    share = share / share.sum(0)
    turns = fits.R.reshape(-1, views, 3, 3)

    def middle(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("fv,fvn->vn", share, values.reshape(len(folds), views, -1)))

    return dataclasses.replace(
        start.cameras,
        R=np.stack([mean(turns[:, v], share[:, v]) for v in range(views)]),
        t_mm=middle(fits.t_mm),
        numbers=middle(fits.numbers),
        time_offset_s=middle(fits.time_offset_s)[:, 0],
    )


def _first_of_each(stretch: I64, shown: I64) -> np.ndarray:
    """(T,) the first frames of each stretch, as many as it takes to tell variants apart."""
    enough = np.zeros(len(stretch), bool)
    for number in np.unique(stretch[shown]):
        enough[shown[stretch[shown] == number][: _GATED // BLOCKS]] = True
    return enough


def _in_step(solution: Solution) -> Solution:
    """The same without time offsets."""
    nothing = np.zeros_like(solution.cameras.time_offset_s)
    return dataclasses.replace(solution, cameras=dataclasses.replace(solution.cameras, time_offset_s=nothing))


def _pooled(solution: Solution, views: int) -> Solution:
    """The same with each camera's time offset from all fits, each counted by how sure it is."""
    late = solution.cameras.time_offset_s.reshape(-1, views)
    error = solution.sd(TIME_OFFSET).reshape(-1, views)
    trust = 1 / np.maximum(error, 1e-4) ** 2
    mean = (late * trust).sum(0) / trust.sum(0)
    cameras = dataclasses.replace(solution.cameras, time_offset_s=np.tile(mean, len(late)))
    return dataclasses.replace(solution, cameras=cameras)


def _differ(solution: Solution, views: int) -> bool:
    """Whether the time offsets, taken over all fits, are more than their errors and more than a few ms."""
    time_offset = solution.cameras.time_offset_s.reshape(-1, views).mean(0)
    error = solution.sd(TIME_OFFSET).reshape(-1, views).mean(0)
    return bool((np.abs(time_offset) > np.maximum(_LATE * error, _FASTEST_MS / 1e3)).any())


def _camera(setting: _Setting, solution: Solution, start: _Start, v: int) -> Camera:
    """One camera of the rig; one whose lens is unknown too gets a lens that says nothing."""
    distortion_model = setting.lenses[v]
    size = (int(setting.seen.sizes_px[v, 0]), int(setting.seen.sizes_px[v, 1]))
    if distortion_model is None:
        K = np.array([[max(size), 0, (size[0] - 1) / 2], [0, max(size), (size[1] - 1) / 2], [0, 0, 1.0]])
        return Camera(name=setting.seen.cameras[v], size_px=size, K=K)
    camera = with_numbers(
        distortion_model.replace(name=setting.seen.cameras[v], R=None, t_mm=None), solution.cameras.numbers[v]
    )
    if not start.reached[v]:
        return camera
    mine = start.images.view == v
    square = (solution.residual_px[mine] ** 2).sum(-1)
    rmse = float(np.sqrt(np.nanmean(square))) if np.isfinite(square).any() else None
    # A common time offset is none: the first camera's is 0 while solving, the middle of all is afterwards.
    time_offset = solution.cameras.time_offset_s - np.median(solution.cameras.time_offset_s[start.reached])
    return camera.replace(
        R=solution.cameras.R[v],
        t_mm=solution.cameras.t_mm[v],
        time_offset_s=float(time_offset[v]),
        rmse_px=rmse,
    )
