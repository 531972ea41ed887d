"""From observations of a board to a rig: lenses, poses, delays, and which refinements have earned their place."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from core.calibration.bundle import (
    LATENCY,
    N_UNKNOWNS,
    NUMBERS,
    POSE,
    USUAL_PX,
    Cameras,
    Pictures,
    Prior,
    Solution,
    accelerations,
    hand,
    solve,
)
from core.calibration.config import CalibrateConfig
from core.calibration.extrinsics import LEAST_MOMENTS, BoardPoses, PairGraph, board_poses, chain, pair_graph
from core.calibration.held_out import Prediction, blocks, predict, score
from core.calibration.intrinsics import LEAST_PICTURES, LensFit, fit_lens
from core.calibration.observations import BoardObservations
from core.calibration.start import first_way, numbers_of, period_of, with_numbers
from core.calibration.trajectory import Trajectory
from core.errors import CoreError
from core.progress import Reporter, check
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

_REFINED = (0, 1, 2, 3, 4, 5)  # focal lengths, principal point, k1 k2
_WORTH = 0.02  # share by which held-out error must fall for something to be kept
_CERTAIN = 2.0  # standard errors by which a delay must differ from the others' to be believed
_FASTEST_MS = 3.0  # a delay smaller than this is none
_LEAST_RATE_HZ = 2.5  # of moments, for delays
_LOOSE = 10.0  # how much less a lens is trusted that was fitted to the same pictures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardCalibration:
    """What a board take says of the cameras.

    Attributes:
        rig: All cameras in the order of the observations; those that could not be calibrated have no pose. World frame:
            that of the best connected camera, until a floor is set.
        missing: Camera to the reason why it has no pose.
        seen: The observations.
        pictures: The same, as solved.
        poses: The board in single pictures.
        graph: What cameras have seen the board together.
        solution: Cameras and the board's way, fitted to everything.
        prediction: Held-out stretches, each predicted with cameras fitted to the other stretches.
        lenses: Fits of each camera alone, by name.
        refined: Cameras whose lens was refined together with the poses.
        latency: Whether delays were found and are worth having.
        remarks: What was decided, in sentences.
    """

    rig: CameraRig
    missing: Mapping[str, str]
    seen: BoardObservations
    pictures: Pictures
    poses: BoardPoses
    graph: PairGraph
    solution: Solution
    prediction: Prediction
    lenses: Mapping[str, LensFit]
    refined: tuple[str, ...]
    latency: bool
    remarks: tuple[str, ...]

    @property
    def posed(self) -> tuple[str, ...]:
        """Cameras that have a pose."""
        return tuple(c.name for c in self.rig if c.posed)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Start:
    """Where solving starts, for some of the moments."""

    pictures: Pictures
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
    fitted_here: np.ndarray  # (V,) lens comes from these very pictures
    config: CalibrateConfig


def calibrate(
    seen: BoardObservations,
    config: CalibrateConfig,
    reporter: Reporter,
    *,
    known: Mapping[str, Camera] | None = None,
    lens_views: Sequence[BoardObservations] = (),
) -> BoardCalibration:
    """Solves lenses, poses and delays of all cameras that saw the board.

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
    steps = ("Fitting the lenses", "Solving the poses", "Checking on held-out moments", "Solving with everything")
    told = lambda n: (reporter.progress(n, len(steps), steps[min(n, 3)]), check(reporter))  # noqa: E731
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
    chosen, prediction, remarks = _choose(setting, start, told, reporter)
    told(3)
    solution = _solve(setting, start, None, chosen)
    reporter.progress(len(steps), len(steps), steps[-1])
    rig = CameraRig(
        cameras=tuple(_camera(setting, solution, start, v) for v in range(len(seen.cameras))),
        source=f"Calibrated from {seen.source}: {seen.board.title}.",
    )
    return BoardCalibration(
        rig=rig,
        missing=reasons,
        seen=seen,
        pictures=start.pictures,
        poses=start.poses,
        graph=start.graph,
        solution=solution,
        prediction=prediction,
        lenses=fits,
        refined=tuple(n for v, n in enumerate(seen.cameras) if chosen.refined[v] and start.reached[v]),
        latency=chosen.latency,
        remarks=tuple(remarks),
    )


def _setting(
    seen: BoardObservations,
    config: CalibrateConfig,
    known: Mapping[str, Camera],
    lens_views: Sequence[BoardObservations],
) -> tuple[_Setting, dict[str, LensFit], dict[str, str]]:
    """First lenses of all cameras: known, from recordings of their own, or from these pictures."""
    fits, reasons, lenses = {}, {}, []
    here = np.zeros(len(seen.cameras), bool)
    numbers, information = np.zeros((len(seen.cameras), 12)), np.zeros((len(seen.cameras), 12, 12))

    def first(name: str) -> tuple[LensFit | None, bool]:
        model = "fisheye" if config.lens == "fisheye" else "pinhole"
        if config.lens == "auto" and name in known:
            model = known[name].lens
        apart = [views for views in lens_views if name in views.cameras]
        for source in (*apart, seen):
            fit = fit_lens(source, name, model)
            if fit is not None:
                return fit, source is seen
        return None, True

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(first, seen.cameras))
    for v, (name, (fit, same)) in enumerate(zip(seen.cameras, found, strict=True)):
        keep = known.get(name)
        if keep is not None and (config.known_lenses or fit is None):
            lenses.append(keep)
            sd = np.full(12, 0.02)
            sd[:4] = 5 * max(keep.size_px) / 1280
            information[v] = np.diag(sd**-2)
        elif fit is not None:
            fits[name] = fit
            lenses.append(fit.camera)
            here[v] = same
            information[v] = fit.information / (_LOOSE**2 if same else 1.0)
        else:
            lenses.append(None)
            count = len(np.unique(seen.moment[seen.view == v]))
            reasons[name] = (
                f"{name} saw the board in {count} pictures, too few for its lens."
                if count < LEAST_PICTURES
                else f"The lens of {name} could not be fitted to its {count} pictures of the board."
            )
        if lenses[-1] is not None:
            numbers[v] = numbers_of(lenses[-1])
        else:
            numbers[v, :4], information[v] = 1000.0, np.eye(12)
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


def _start(setting: _Setting, moments: np.ndarray | None) -> _Start:
    """First poses from the chosen moments (T,); lenses as they are."""
    seen = setting.seen
    pictures = Pictures.of(seen)
    usable = np.array([lens is not None for lens in setting.lenses])[pictures.view]
    if moments is not None:
        usable &= moments[pictures.moment]
    pictures = pictures.where(usable)
    poses = board_poses(pictures, setting.lenses)
    graph = pair_graph(pictures, poses, len(seen.cameras))
    R, t, reached, root = chain(graph)
    in_rig = reached[pictures.view]
    poses = BoardPoses(R=poses.R[in_rig], t_mm=poses.t_mm[in_rig], error_px=poses.error_px[in_rig])
    lens = tuple("pinhole" if c is None else c.lens for c in setting.lenses)
    cameras = Cameras(
        lens=lens, numbers=setting.prior.numbers.copy(), R=R, t_mm=t, latency_s=np.zeros(len(seen.cameras))
    )
    return _Start(
        pictures=pictures.where(in_rig), poses=poses, graph=graph, cameras=cameras, reached=reached, root=root
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
        if shared < LEAST_MOMENTS:
            out[name] = f"{name} saw the board together with another camera in {shared} moments at most ({other})."
        else:
            out[name] = f"{name} shares {shared} moments with {other}, but only {agreeing} agree on where they stand."
    return out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Variant:
    """What is solved for beside the poses."""

    latency: bool
    refined: np.ndarray  # (V,)


def _solve(
    setting: _Setting, start: _Start, chosen: np.ndarray | None, variant: _Variant, from_: Solution | None = None
) -> Solution:
    """Cameras and the board's way for one variant, from the pictures (P,) chosen or all."""
    use = np.ones(len(start.pictures), bool) if chosen is None else chosen
    pictures = start.pictures.where(use)
    free = np.zeros((len(start.reached), N_UNKNOWNS), bool)
    free[:, POSE] = True
    free[:, LATENCY] = variant.latency
    for number in _REFINED:
        free[:, NUMBERS.start + number] = variant.refined
    free[start.root, :7] = False
    shows = np.isin(np.arange(len(free)), pictures.view)
    free[~(start.reached & shows)] = False
    usual = hand(setting.period_s)
    cameras = start.cameras if from_ is None else from_.cameras
    way = (
        first_way(setting.seen.time_s, setting.period_s, pictures, _part(start.poses, use), cameras, use[use])
        if from_ is None
        else from_.way
    )
    run: Callable[[Cameras, Trajectory, tuple[float, float]], Solution] = lambda c, w, h: solve(  # noqa: E731
        pictures, c, w, free, setting.prior, scale_px=setting.scale_px, hand=h
    )
    solution = run(cameras, way, usual)
    for _ in range(3):
        faster = hand(setting.period_s, accelerations(solution.way))
        if faster[0] < 1.3 * usual[0] and faster[1] < 1.3 * usual[1]:
            break
        usual = faster
        solution = run(solution.cameras, solution.way, usual)
    return solution


def _part(poses: BoardPoses, use: np.ndarray) -> BoardPoses:
    return BoardPoses(R=poses.R[use], t_mm=poses.t_mm[use], error_px=poses.error_px[use])


def _choose(
    setting: _Setting, start: _Start, told: Callable[[int], object], reporter: Reporter
) -> tuple[_Variant, Prediction, list[str]]:
    """Which refinements predict held-out stretches better; and the predictions with those that are kept."""
    views = len(start.reached)
    number = blocks(start.pictures, len(setting.seen.time_s))[start.pictures.moment]
    folds = [number % 2 == 0, number % 2 == 1]
    nothing = np.zeros(views, bool)
    plain = _Variant(latency=False, refined=nothing)
    tried: dict[str, tuple[list[Solution], Prediction]] = {}

    def attempt(name: str, variant: _Variant, base: str | None) -> Prediction:
        check(reporter)
        before = tried[base][0] if base else [None, None]

        def one(fold: int) -> tuple[Solution, Prediction]:
            fitted, held = folds[fold], folds[1 - fold]
            solution = _solve(setting, start, fitted, variant, before[fold])
            return solution, predict(
                start.pictures.where(held),
                _part(start.poses, held),
                solution.cameras,
                setting.seen.time_s,
                setting.period_s,
                setting.scale_px,
            )

        with ThreadPoolExecutor(2) as pool:
            parts = list(pool.map(one, (0, 1)))
        together = Prediction(
            **{
                f.name: np.concatenate([getattr(p, f.name) for _, p in parts])
                for f in dataclasses.fields(Prediction)
            }
        )
        tried[name] = ([s for s, _ in parts], together)
        return together

    def figure(prediction: Prediction, view: int | None = None) -> float:
        return score(prediction.of(view), setting.scale_px)

    best, name, remarks = plain, "plain", []
    prediction = attempt("plain", plain, None)
    if setting.config.latency and setting.period_s <= 1 / _LEAST_RATE_HZ:
        variant = _Variant(latency=True, refined=nothing)
        trial = attempt("latency", variant, "plain")
        if figure(trial) < (1 - _WORTH) * figure(prediction) and _differ(tried["latency"][0]):
            best, name, prediction = variant, "latency", trial
        else:
            remarks.append("No camera is late: delays would not predict held-out moments better.")
    elif setting.config.latency:
        remarks.append("The recording has too few moments a second to tell whether a camera is late.")
    if setting.config.refine:
        variant = dataclasses.replace(best, refined=start.reached.copy())
        trial = attempt("lenses", variant, name)
        better = np.array(
            [bool(start.reached[v]) and figure(trial, v) < (1 - _WORTH) * figure(prediction, v) for v in range(views)]
        )
        if better.any() and not better[start.reached].all():
            variant = dataclasses.replace(best, refined=better)
            trial = attempt("lenses", variant, name)
        if better.any() and figure(trial) < (1 - _WORTH) * figure(prediction):
            best, prediction = variant, trial
        names = [n for v, n in enumerate(setting.seen.cameras) if best.refined[v]]
        remarks.append(
            f"Lenses solved together with the poses, because held-out error falls: {', '.join(names)}."
            if names
            else "Lenses stay as each camera's own pictures say: refining them does not lower held-out error."
        )
    return best, prediction, remarks


def _differ(solutions: list[Solution]) -> bool:
    """Whether the delays differ from camera to camera by more than their errors and by more than a few ms."""
    latency = np.stack([s.cameras.latency_s for s in solutions]).mean(0)
    error = np.stack([s.sd(LATENCY)[:, 0] for s in solutions]).mean(0)
    return bool((np.abs(latency) > np.maximum(_CERTAIN * error, _FASTEST_MS / 1e3)).any())


def _camera(setting: _Setting, solution: Solution, start: _Start, v: int) -> Camera:
    """One camera of the rig; one whose lens is unknown too gets a lens that says nothing."""
    lens = setting.lenses[v]
    size = (int(setting.seen.sizes_px[v, 0]), int(setting.seen.sizes_px[v, 1]))
    if lens is None:
        K = np.array([[max(size), 0, (size[0] - 1) / 2], [0, max(size), (size[1] - 1) / 2], [0, 0, 1.0]])
        return Camera(name=setting.seen.cameras[v], size_px=size, K=K)
    camera = with_numbers(lens.replace(name=setting.seen.cameras[v], R=None, t_mm=None), solution.cameras.numbers[v])
    if not start.reached[v]:
        return camera
    mine = start.pictures.view == v
    square = (solution.residual_px[mine] ** 2).sum(-1)
    rmse = float(np.sqrt(np.nanmean(square))) if np.isfinite(square).any() else None
    # A common delay is none: the first camera's is 0 while solving, the middle of all is afterwards.
    latency = solution.cameras.latency_s - np.median(solution.cameras.latency_s[start.reached])
    return camera.replace(
        R=solution.cameras.R[v],
        t_mm=solution.cameras.t_mm[v],
        latency_s=float(latency[v]),
        rmse_px=rmse,
    )


