"""Live 3D from images to people: 2D poses, triangulation or networks, tracking, smoothing, bodies."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from core.body.model import BodyModel
from core.body.models.registry import load_body_model
from core.live.agreement import CameraAgreement
from core.live.bodies import LiveBodies
from core.live.config import INPUT_SIZES_PX, LiveConfig
from core.live.stream import LivePeople
from core.live.views import CommonTime, LiveEstimator, LiveImage
from core.pose2d.config import Pose2DConfig
from core.pose2d.runtime import cpu_threads
from core.reconstruction.reconstructor import OnlineReconstructor, TrackedFrame
from core.reconstruction.triangulated import Triangulator
from core.session import Session
from core.session.inputs import world_of_training
from core.tracking.config import TrackingConfig
from core.tracking.smooth import OneEuroFilter
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.skeleton import Skeleton

_RATE_RESULTS = 20  # number of results for the frame rate
_SIZE_RESULTS = 12  # number of results before a change of the input size
_LONGEST_S = 0.16  # per result, above which a smaller input is used
_GROW_S = 0.11  # expected per result of a larger input, below which it is used


class LiveEngine:
    """Online reconstruction of the people in front of running cameras.

    Pipelining 2D estimation and triangulation would gain little throughput and cost latency, because both compete for
    the same cores.

    Args:
        rig: Posed cameras, with intrinsics for the size of their images; see `live_rig`.
        config: Settings; bodies are fitted only after `fit_bodies`.
        session: Folder of the session, to load the networks of a run.

    Raises:
        CoreError: The networks cannot be loaded, or need more than 2D poses.
    """

    def __init__(self, rig: CameraRig, config: LiveConfig, session: Path | None = None) -> None:
        self.rig = rig
        tracking = TrackingConfig()
        self._pool = ThreadPoolExecutor(min(len(rig), cpu_threads()), thread_name_prefix="live-2d")
        self._set_input(config.long_side_px or INPUT_SIZES_PX[1])
        self._size = InputSize() if not config.long_side_px else None
        self._common = CommonTime(rig, self._estimator.skeleton)
        self._method, self.skeleton = _method(rig, config, session, tracking, self._estimator.skeleton)
        self._people = _LiveTracks(self.skeleton, tracking, smooth=config.smooth)
        # Networks may have another joint set than the detections.
        self._agreement = CameraAgreement(rig) if self.skeleton == self._estimator.skeleton else None
        self.disagreeing: tuple[str, ...] = ()
        """Cameras that disagree with the others."""
        self.body_model: BodyModel | None = None
        self._bodies: LiveBodies | None = None
        self._done_ns: deque[int] = deque(maxlen=_RATE_RESULTS)

    def fit_bodies(self, name: str) -> None:
        """Choose the body model that is fitted to the people; an empty name fits none.

        Raises:
            CoreError: The model cannot be loaded, and none is fitted.
        """
        self.body_model = self._bodies = None
        if name:
            self.body_model = load_body_model(name)
            self._bodies = LiveBodies(self.body_model, self.skeleton)

    def update(self, images: Sequence[LiveImage], now_ns: int | None = None) -> LivePeople | None:
        """Return the people at the latest time that all cameras have reached; None if that time has not advanced.

        Args:
            images: Newest images, at most one per camera.
            now_ns: Current time, to measure the frame rate.
        """
        begin_s = time.monotonic()
        for camera, poses in self._estimator.estimate(images):
            self._common.add(camera, poses)
        found = self._common.next()
        if found is None:
            return None
        frame = self._method.update(found.time_ns / 1e9, found.poses2d)
        if self._agreement is not None:
            people_mm = frame.xyz_mm[frame.ids > 0]
            self.disagreeing = self._agreement.update(frame.time_s, found.cameras, found.poses2d, people_mm)
        ids, xyz_mm, score = self._people.update(frame)
        bodies = self._bodies.update(found.time_ns / 1e9, ids, xyz_mm) if self._bodies is not None else None
        better_px = self._size.update(time.monotonic() - begin_s) if self._size is not None else 0
        if better_px:
            self._set_input(better_px)
        if now_ns is not None:
            self._done_ns.append(now_ns)
        elapsed_s = (self._done_ns[-1] - self._done_ns[0]) / 1e9 if len(self._done_ns) > 1 else 0.0
        return LivePeople(
            skeleton=self.skeleton,
            time_ns=found.time_ns,
            newest_ns=found.newest_ns,
            ids=ids,
            xyz_mm=xyz_mm,
            score=score,
            bodies=bodies,
            cameras=found.cameras,
            fps=(len(self._done_ns) - 1) / elapsed_s if elapsed_s > 0 else 0.0,
        )

    def _set_input(self, long_side_px: int) -> None:
        config = Pose2DConfig(long_side_px=long_side_px, heatmaps=False)
        self._estimator = LiveEstimator(self.rig, config, self._pool)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)


class InputSize:
    """Adaptive input size: chosen by the time per result, which grows with the number of pixels."""

    def __init__(self) -> None:
        self._index = 1
        self._taken_s: deque[float] = deque(maxlen=_SIZE_RESULTS)

    def update(self, taken_s: float) -> int:
        """Add the duration of a result, and return a better input size; 0 to keep the current one."""
        self._taken_s.append(taken_s)
        if len(self._taken_s) < _SIZE_RESULTS:
            return 0
        usual_s = statistics.median(self._taken_s)
        larger = INPUT_SIZES_PX[min(self._index + 1, len(INPUT_SIZES_PX) - 1)] / INPUT_SIZES_PX[self._index]
        if usual_s > _LONGEST_S and self._index > 0:
            self._index -= 1
        elif larger > 1 and usual_s * larger**2 < _GROW_S:
            self._index += 1
        else:
            return 0
        self._taken_s.clear()
        return INPUT_SIZES_PX[self._index]


def _method(
    rig: CameraRig, config: LiveConfig, session: Path | None, tracking: TrackingConfig, joints: Skeleton
) -> tuple[OnlineReconstructor, Skeleton]:
    """Return the reconstruction method and its skeleton."""
    if not config.run or session is None:
        return Triangulator(tracking=tracking).online(rig, joints), joints
    from core.reconstruction.predictor import Predictor  # torch is needed for networks only

    opened = Session.open(session)
    folder = opened.layout.run(config.run)
    predictor = Predictor.load(folder, temporal=False)
    predictor.world = world_of_training(opened, folder)
    return predictor.online(rig, tracking), predictor.networks.skeleton


class _LiveTracks:
    """Smoothed tracks that are old enough to be shown."""

    def __init__(self, joints: Skeleton, config: TrackingConfig, *, smooth: bool) -> None:
        self._joints, self._config, self._smooth = joints, config, smooth
        self._first_s: dict[int, float] = {}
        self._seen_s: dict[int, float] = {}
        self._filters: dict[int, OneEuroFilter] = {}

    def update(self, frame: TrackedFrame) -> tuple[np.ndarray, F64, F64]:
        """Return identities (P,) in increasing order, joints (P, J, 3) and scores (P, J) of the people to show."""
        shown, joints = [], []
        for row in np.argsort(frame.ids, kind="stable").tolist():
            person = int(frame.ids[row])
            if not person:
                continue
            self._seen_s[person] = frame.time_s
            born_s = self._first_s.setdefault(person, frame.time_s)
            xyz_mm = frame.xyz_mm[row]
            if self._smooth:
                if person not in self._filters:
                    self._filters[person] = OneEuroFilter((len(self._joints),), self._config)
                xyz_mm = self._filters[person].update(frame.time_s, xyz_mm)
            # False detections last for a frame or two.
            if frame.time_s - born_s >= self._config.confirm_s:
                shown.append(row)
                joints.append(xyz_mm)
        gone = [p for p, seen_s in self._seen_s.items() if frame.time_s - seen_s > self._config.max_gap_s]
        for person in gone:
            del self._seen_s[person], self._first_s[person]
            self._filters.pop(person, None)
        xyz = np.stack(joints) if joints else np.zeros((0, len(self._joints), 3))
        return frame.ids[shown], xyz, frame.score[shown]
