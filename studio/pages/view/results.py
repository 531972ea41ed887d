"""Cached reading of results for the View page, without widgets."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import h5py  # noqa: F401  imported with the page, on a thread, not when the first result is read in the window's
import numpy as np

from core.body.models.registry import load_body_model
from core.body.sequence import BodyMotion
from core.config import from_mapping
from core.datasets.split import held_out
from core.errors import CoreError
from core.files import read_yaml
from core.geometry.accuracy import AccuracyMap, accuracy_map
from core.pipelines.params import TrainParams
from core.session import BASELINE, Session, Take, Timeline
from core.session.align import shown_timeline
from core.session.naming import fitted_result
from core.types import CameraRig, Pose3DSequence

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Message on missing or damaged data.

    Attributes:
        heading: Short description of the problem.
        remedy: Sentence on the remedy.
        blocking: True if there is nothing to show.
        outdated: True if the result is out of date and can be recomputed.
        page: Name of the page for the remedy; empty for none.
    """

    heading: str
    remedy: str
    blocking: bool = False
    outdated: bool = False
    page: str = ""

    @classmethod
    def of(cls, error: CoreError, *, blocking: bool = False) -> Notice:
        """Return the message of an error."""
        return cls(heading=error.message, remedy=error.hint, blocking=blocking)


class ResultReader:
    """Cache of timelines, results and bodies, which are reread when their files change; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._read: dict[Path, tuple[int, Any]] = {}
        self._shown: tuple[Timeline, str, Timeline] | None = None

    def timeline(self, take: Take, rig: CameraRig | None = None) -> Timeline:
        """Return the timeline of a take, with the images nearest in time by the time offsets of a rig, if given.

        Raises:
            CoreError: The file is damaged or missing.
        """
        with self._lock:
            manifest, timeline = self._once(take.layout.timestamps, lambda: (take.manifest, take.timeline()))
            if manifest != take.manifest:
                self._read.pop(take.layout.timestamps)
                return self.timeline(take, rig)
            if rig is None:
                return timeline
            if self._shown is None or self._shown[0] is not timeline or self._shown[1] != rig.digest:
                self._shown = timeline, rig.digest, shown_timeline(timeline, rig)
            return self._shown[2]

    def poses(self, take: Take, result: str) -> Pose3DSequence:
        """Return a result.

        Raises:
            CoreError: The file is damaged or missing.
        """
        try:
            return self._once(take.layout.poses3d(result), lambda: take.poses3d(result))
        except OSError as error:
            remedy = "Run the step that produces it again."
            raise CoreError(f"The result '{result}' cannot be read.", remedy) from error

    def bodies(self, take: Take, result: str) -> BodyMotion | None:
        """Return the bodies fitted to a result, or those whose joints it contains; None without any.

        Raises:
            CoreError: The file is damaged, or its body model is not available.
        """

        def read() -> BodyMotion:
            bodies = take.bodies(result)
            return BodyMotion.of(load_body_model(bodies.model), bodies)

        return self._once(take.layout.bodies(result), read) if take.has_bodies(result) else None

    def unread_bytes(self, take: Take, results: Sequence[str]) -> int:
        """Return the number of bytes to read for a take and its results."""
        layout, unread = take.layout, 0
        for path in (layout.timestamps, *map(layout.poses3d, results), *map(layout.bodies, results)):
            if path.is_file() and self._read.get(path, (0,))[0] != path.stat().st_mtime_ns:
                unread += path.stat().st_size
        return unread

    def keep(self, take: Take | None, results: Sequence[str]) -> None:
        """Remove other takes and results from the cache, because long ones are large."""
        files = set[Path]()
        if take is not None:
            layout = take.layout
            files = {layout.timestamps, *map(layout.poses3d, results), *map(layout.bodies, results)}
        with self._lock:
            for path in self._read.keys() - files:
                del self._read[path]

    def _once(self, path: Path, read: Callable[[], T]) -> T:
        with self._lock:
            written_ns = path.stat().st_mtime_ns if path.exists() else 0
            if path not in self._read or self._read[path][0] != written_ns:
                self._read[path] = written_ns, read()
            found: T = self._read[path][1]
            return found


class RigAccuracy:
    """Cached expected accuracy of a rig."""

    def __init__(self) -> None:
        self._known: tuple[str, AccuracyMap | None] = "", None

    def of(self, rig: CameraRig | None) -> AccuracyMap | None:
        """Return the accuracy map of the posed cameras; None if they share no field of view."""
        posed = [c.name for c in rig if c.posed] if rig is not None else []
        if rig is None or len(posed) < 2:
            return None
        if self._known[0] != rig.digest:
            try:
                self._known = rig.digest, accuracy_map(rig.subset(posed))
            except CoreError:
                self._known = rig.digest, None
        return self._known[1]


def frames_held_out(session: Session | None, take: Take, result: str, count: int) -> np.ndarray | None:
    """Return the mask (T,) of frames held out of the training of a result; None if the take was not trained on.

    For joints of bodies, the training of the fitted result counts.
    """
    source = fitted_result(result) or result
    if session is None or source in ("", BASELINE):
        return None
    try:
        params = from_mapping(TrainParams, read_yaml(session.layout.run(source).config))
    except CoreError:
        return None  # the run no longer exists
    return held_out(count, params.training.split) if take.name in params.takes else None
