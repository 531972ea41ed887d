"""Results of a take as the View page reads them: poses and bodies, each once, and what goes with them. No widgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.body.models.registry import load_body_model
from core.body.sequence import BodyMotion
from core.config import from_mapping
from core.datasets.split import held_out
from core.errors import CoreError
from core.files import read_yaml
from core.geometry.accuracy import AccuracyMap, accuracy_map
from core.pipelines.params import TrainParams
from core.session import BASELINE, Session, Take
from core.session.naming import fitted_result
from core.types import CameraRig, Pose3DSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Message about missing or damaged data.

    Attributes:
        heading: Problem in a few words.
        remedy: What to do, as a sentence.
        blocking: There is nothing to show at all.
        outdated: The shown result is out of date and can be made again.
    """

    heading: str
    remedy: str
    blocking: bool = False
    outdated: bool = False

    @classmethod
    def of(cls, error: CoreError, *, blocking: bool = False) -> Notice:
        """Return the message of an error."""
        return cls(heading=error.message, remedy=error.hint, blocking=blocking)


class ResultReader:
    """Reads the results of a take and their bodies, again only when their file has changed."""

    def __init__(self) -> None:
        self._poses: dict[str, tuple[int, Pose3DSequence]] = {}
        self._bodies: dict[str, tuple[int, BodyMotion]] = {}

    def poses(self, take: Take, result: str) -> Pose3DSequence:
        """Return a result.

        Raises:
            CoreError: The file is damaged or missing.
        """
        try:
            written_ns = take.layout.poses3d(result).stat().st_mtime_ns
            if result not in self._poses or self._poses[result][0] != written_ns:
                self._poses[result] = written_ns, take.poses3d(result)
        except OSError as error:
            remedy = "Run the step that produces it again."
            raise CoreError(f"The result '{result}' cannot be read.", remedy) from error
        return self._poses[result][1]

    def bodies(self, take: Take, result: str) -> BodyMotion | None:
        """Return the bodies fitted to a result; None without any.

        Raises:
            CoreError: The file is damaged, or its body model is not on this machine.
        """
        try:
            written_ns = take.layout.bodies(result).stat().st_mtime_ns
        except OSError:
            return None
        if result not in self._bodies or self._bodies[result][0] != written_ns:
            bodies = take.bodies(result)
            self._bodies[result] = written_ns, BodyMotion.of(load_body_model(bodies.model), bodies)
        return self._bodies[result][1]

    def clear(self) -> None:
        """Forget what was read, for another take."""
        self._poses.clear()
        self._bodies.clear()


class RigAccuracy:
    """Expected accuracy of a rig, computed once for equal rigs."""

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
    """Return which frames of a take were held out of the training of a result (T,); None if it was not trained on.

    Bodies are fitted to a result, whose training is theirs.
    """
    source = fitted_result(result) or result
    if session is None or source in ("", BASELINE):
        return None
    try:
        params = from_mapping(TrainParams, read_yaml(session.layout.run(source).config))
    except CoreError:
        return None  # the run is no longer in this session
    return held_out(count, params.training.split) if take.name in params.takes else None
