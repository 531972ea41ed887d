"""Measurement of camera clocks by a board that is moved in front of the cameras.

Camera poses are estimated from the same images, with offsets up to a few tenths of a second and the intrinsics of the
rig. Board corners then serve as the joints of a person.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from core.board.observations import BoardObservations
from core.calibration.board.calibrate import calibrate_board
from core.calibration.board.config import CalibrateConfig
from core.calibration.people.bundle import CameraPoses
from core.calibration.people.tracks import Tracks
from core.calibration.sync.estimate import MeasuredClocks, measure_clocks, merge_jump, with_jumps
from core.calibration.sync.evidence import MovingPoints
from core.calibration.sync.missing import Jump, find_clock_step, image_costs
from core.calibration.sync.people import image_period_s
from core.errors import CoreError
from core.geometry import undistort
from core.progress import Reporter, StageReporter, check
from core.session.clocks import CameraClock
from core.types.arrays import F64, I64
from core.types.camera import Camera, CameraRig

_CORNERS = 40  # number of corners compared: the most frequently seen
MOST_LOST = 8
"""Largest number of images lost in one place that is found."""
_STEPS = 4  # delays per image to compare
_LEAST_GAIN = 100.0  # log likelihood of missing images over any drift; high because pose errors last for seconds
_USUAL_PPM, _LARGEST_PPM = 100, 300  # drifts to compare with missing images
_NEAR_S = 3.0  # distance of jumps that may be one
_ROUNDS = 5  # of calibration with the known missing images
_GAP = 1.6  # in usual intervals between images, above which tracks of the board are cut


class BoardEvidence:
    """Evidence from the corners of a board; see `Evidence`.

    Args:
        seen: Observations, in runs of consecutive images.
        recorded_s: (T, V) recorded time of each image of the take, NaN where missing.
        image: (T, V) index of each image in its video, -1 where missing.
        rig: Cameras with known intrinsics.
        reporter: Reports cancellation of the job.
    """

    shows_jumps, largest_sd_s = False, 0.003

    def __init__(
        self,
        seen: BoardObservations,
        recorded_s: F64,
        image: I64,
        rig: CameraRig,
        reporter: Reporter,
    ) -> None:
        self.seen, self.reporter = seen, reporter
        self.cameras, self.recorded_s, self.image = seen.cameras, recorded_s, image
        self.period_s = np.array([image_period_s(recorded_s[:, v], image[:, v]) for v in range(len(seen.cameras))])
        self.known: dict[str, Camera] = {c.name: c for c in rig}
        self.usual_s = np.array([self.known[n].time_offset_s for n in seen.cameras])
        count = np.bincount(seen.point, minlength=len(seen.board.points_mm))
        self.corners = np.sort(np.argsort(-count, kind="stable")[:_CORNERS])
        self.intrinsics: tuple[Camera, ...] = ()
        self.poses: CameraPoses

    def points(self, clocks: Sequence[CameraClock], rows: I64 | None = None) -> list[MovingPoints]:
        """Return the points; see `Evidence`."""
        check(self.reporter)
        tracks, used = zip(*(self._track(v, clocks[v]) for v in range(len(self.cameras))), strict=True)
        person = tuple(np.zeros(t.count, np.int64) for t in tracks)
        return [MovingPoints(tracks=tracks, poses=self.poses, person=person, rows=used)]

    def _track(self, v: int, clock: CameraClock) -> tuple[Tracks, I64]:
        """Return the corners in one camera as tracks, cut where the board is lost, and the rows of its images."""
        seen, camera = self.seen, self.intrinsics[v]
        frames = np.unique(seen.frame[seen.view == v])
        image = seen.image_index[frames, v]
        rows = np.searchsorted(np.where(self.image[:, v] < 0, -1, np.maximum.accumulate(self.image[:, v])), image)
        recorded = seen.time_s[frames, v]
        time_s = recorded - clock.error_s(recorded, image)
        slot = np.full(len(seen.board.points_mm), -1)
        slot[self.corners] = np.arange(len(self.corners))
        use = (seen.view == v) & (slot[seen.point] >= 0)
        at = np.searchsorted(frames, seen.frame[use])
        steps = np.diff(time_s, prepend=time_s[:1])
        piece = np.cumsum(steps > _GAP * np.median(steps)) if len(frames) else np.zeros(0, np.int64)
        xy = np.full((len(frames), int(piece[-1]) + 1 if len(piece) else 0, len(self.corners), 2), np.nan)
        xy[at, piece[at], slot[seen.point[use]]] = undistort(camera, seen.xy_px[use])
        focal = float(camera.K[0, 0] + camera.K[1, 1]) / 2
        score = np.isfinite(xy[..., 0]).astype(float)
        return Tracks(focal_px=focal, time_s=time_s, xy=xy, score=score), rows

    def calibrate(self, clocks: Sequence[CameraClock]) -> F64:
        """Calibrate the cameras at corrected times, and return the remaining time offsets (V,).

        Raises:
            CoreError: No two cameras can be connected.
        """
        seen = self.seen
        error = [c.error_s(seen.time_s[:, v], seen.image_index[:, v]) for v, c in enumerate(clocks)]
        at_true = dataclasses.replace(seen, time_s=seen.time_s - np.stack(error, axis=1))
        config = CalibrateConfig(fixed_intrinsics=True)
        found = calibrate_board(at_true, config, StageReporter(self.reporter, 0.0, 0.0), known=self.known).rig
        self.intrinsics = tuple(found)
        offsets = np.array([c.time_offset_s for c in found])
        posed = [c.pose if c.posed else (np.eye(3), np.zeros(3)) for c in found]
        self.poses = CameraPoses(
            R=np.stack([R for R, _ in posed]),
            t_mm=np.stack([t for _, t in posed]),
            time_offset_s=self.usual_s,
            registered=np.array([c.posed for c in found]),
        )
        return np.asarray(offsets - self.usual_s)


def clocks_by_board(evidence: BoardEvidence, reporter: Reporter) -> MeasuredClocks:
    """Measure offsets and drifts of all cameras, and locate missing images, which distort the camera poses.

    Raises:
        CoreError: No two cameras see the board together, or missing images cannot be located.
        CancelledError: The reporter asked to stop.
    """
    clocks, jumps = [CameraClock(period_s=float(p)) for p in evidence.period_s], list[Jump]()
    lossy = ""
    for _ in range(_ROUNDS):
        offset_s = evidence.calibrate(clocks)
        at_offset = [dataclasses.replace(c, offset_s=float(o)) for c, o in zip(clocks, offset_s, strict=True)]
        if (found := find_lost_images(evidence, at_offset, {j.view for j in jumps})) is None:
            if (joined := joined_jumps(evidence, at_offset, jumps)) != jumps:
                jumps = joined
                offset_s = evidence.calibrate([with_jumps(evidence, c, v, jumps) for v, c in enumerate(clocks)])
            return measure_clocks(evidence, offset_s, reporter, jumps)
        lossy, jumps = evidence.cameras[found.view], merge_jump(jumps, found)
        clocks = [with_jumps(evidence, c, v, jumps) for v, c in enumerate(clocks)]
    raise CoreError(
        f"{lossy} seems to have lost images, but the board does not determine how many.",
        "Film the board again, or certify a take of people.",
    )


def joined_jumps(evidence: BoardEvidence, clocks: Sequence[CameraClock], jumps: list[Jump]) -> list[Jump]:
    """Return the jumps with those of a camera, if near, in the one place in which all its missing images fit best.

    The first jump is found with poses that the missing images distort, and may take a part of them elsewhere.
    """
    for view in {j.view for j in jumps}:
        own = [j for j in jumps if j.view == view]
        apart = max(j.row for j in own) - min(j.row for j in own)
        if len(own) < 2 or apart * evidence.period_s[view] > _NEAR_S:
            continue
        without = [with_jumps(evidence, c, v, [j for j in jumps if j.view != view]) for v, c in enumerate(clocks)]
        found = find_lost_images(evidence, without, {view})
        if found is not None and found.view == view and found.count == sum(j.count for j in own):
            jumps = merge_jump([j for j in jumps if j.view != view], found)
    return jumps


def find_lost_images(evidence: BoardEvidence, clocks: Sequence[CameraClock], lossy: set[int]) -> Jump | None:
    """Return the most likely further missing images; None if there are none.

    Args:
        evidence: Evidence from the board.
        clocks: Current clocks.
        lossy: Cameras known to have lost images, for which a large drift may hide the remaining ones.
    """
    (points,) = evidence.points(clocks)
    shift = np.arange(-MOST_LOST * _STEPS, MOST_LOST * _STEPS + 1) / _STEPS
    best, most = None, _LEAST_GAIN
    for v, period_s in enumerate(evidence.period_s.tolist()):
        check(evidence.reporter)
        own = points.rows[v]
        if not points.poses.registered[v] or len(own) < 2:
            continue
        cost = image_costs(points, v, shift * period_s)
        step = find_clock_step(cost, MOST_LOST, _STEPS)
        if step is None:
            continue
        gain = _without(cost, points.tracks[v].time_s, period_s, _USUAL_PPM if v in lossy else _LARGEST_PPM) - step.cost
        if gain > most:
            # Anywhere since the previous image in which the board was compared.
            rows = np.arange(own[step.earliest - 1] + 1, own[step.latest] + 1)
            rows = rows[evidence.image[rows, v] >= 0]
            first, middle, last = (int(rows[n]) for n in (0, len(rows) // 2, -1))
            best = Jump(
                view=v,
                row=middle,
                count=step.count,
                fewest=step.fewest,
                most=step.most,
                earliest=first,
                latest=last,
            )
            most = gain
    return best


def _without(cost: F64, time_s: F64, period_s: float, largest_ppm: int) -> float:
    """Return the negative log likelihood of the best delay and drift without missing images."""
    L, out = cost.shape[1], np.inf
    for ppm in range(-largest_ppm, largest_ppm + 1, 50):
        shift = np.round(1e-6 * ppm * (time_s - time_s.mean()) / period_s * _STEPS).astype(int)
        at = np.clip(np.arange(L) + shift[:, None], 0, L - 1)
        out = min(out, float(np.take_along_axis(cost, at, 1).sum(0).min()))
    return out
