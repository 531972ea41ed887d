"""Moving people from the bodies of a take, for rendering with exact ground truth."""

from __future__ import annotations

import numpy as np

from core.body.model import BodyModel, BoneTransforms, RestBodies
from core.body.sequence import BodyMotion
from core.types.arrays import F64
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17


class RecordedPeople:
    """Moving people from the bodies of a take, all of whom are present in all frames.

    Args:
        motion: Bodies with a model that has COCO's keypoints.
    """

    def __init__(self, motion: BodyMotion) -> None:
        self.motion = motion
        self.model: BodyModel = motion.model
        self.rest: RestBodies = motion.rest

    def bones(self, time_s: float) -> BoneTransforms:
        """Return the bone transforms (P, J, ...) in the frame nearest to a time."""
        return self.motion.bones(int(np.abs(self.motion.bodies.time_s - time_s).argmin()))

    def sequence(self, time_s: F64) -> Pose3DSequence:
        """Return the exact COCO joints in the frames nearest to increasing times (T,)."""
        columns = [self.model.keypoints.index(name) for name in COCO17.joints]
        each = [self.model.posed_keypoints(self.rest.keypoints_mm, self.bones(t))[:, columns] for t in time_s]
        xyz = np.stack(each)
        return Pose3DSequence(
            skeleton=COCO17,
            time_s=time_s,
            xyz_mm=xyz,
            score=np.ones(xyz.shape[:3]),
            person_ids=self.motion.bodies.person_ids,
            provenance={"method": "truth"},
        )
