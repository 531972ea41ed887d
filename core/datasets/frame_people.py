"""3D people of successive frames without identity, as found by association and triangulation.

Legend: T frame, P column, J joint, K people of all frames in one sequence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.association.config import AssociationConfig
from core.association.match import associate_take
from core.models.inference import KnownPeople, PosePredictions
from core.models.view_batch import float_tensor
from core.progress import Reporter
from core.types.arrays import F64
from core.types.camera import CameraRig
from core.types.pose2d import Pose2D
from core.types.skeleton import Skeleton, convert, convert_covariance


@dataclass(frozen=True, slots=True, eq=False)
class FramePeople:
    """People of successive frames in columns, without identity.

    Attributes:
        xyz_mm: (T, P, J, 3), NaN where missing.
        score: (T, P, J), 0 where missing or too uncertain.
        covariance_mm2: (T, P, J, 3, 3), NaN where missing.
    """

    xyz_mm: F64
    score: F64
    covariance_mm2: F64

    @classmethod
    def empty(cls, frames: int, people: int, joints: int) -> FramePeople:
        """Return columns without people."""
        xyz_mm = np.full((frames, people, joints, 3), np.nan)
        return cls(xyz_mm, np.zeros(xyz_mm.shape[:-1]), np.full((*xyz_mm.shape, 3), np.nan))

    @classmethod
    def triangulate(
        cls,
        rig: CameraRig,
        poses2d: Mapping[str, Pose2D],
        time_s: F64,
        skeleton: Skeleton,
        association: AssociationConfig,
        reporter: Reporter,
    ) -> FramePeople:
        """Associate and triangulate the people of T frames.

        Args:
            rig: Posed cameras to use, two or more.
            poses2d: Detections by camera name.
            time_s: (T,) times.
            skeleton: Joint set to convert to.
            association: Settings of the association.
            reporter: Receives progress; checked for cancellation.
        """
        people = associate_take(rig, poses2d, time_s, association, reporter)
        assert people.covariance_mm2 is not None  # set by the association
        covariance = np.asarray(people.covariance_mm2, np.float64)
        return cls(people.xyz_mm, people.score, covariance).converted(people.skeleton, skeleton)

    @classmethod
    def of(cls, people: PosePredictions, frames: int) -> FramePeople:
        """Arrange predictions, sorted by frame, in as many columns as the frame with the most people has."""
        sample = people.sample.cpu().numpy()
        # The column of a person is the rank within the frame.
        counts = np.bincount(sample, minlength=frames)
        column = np.arange(len(sample)) - np.repeat(np.cumsum(counts) - counts, counts)
        out = cls.empty(frames, max(1, counts.max(initial=0)), people.xyz_mm.shape[1])
        out.xyz_mm[sample, column] = people.xyz_mm.cpu().numpy()
        out.score[sample, column] = people.score.cpu().numpy()
        out.covariance_mm2[sample, column] = people.covariance_mm2.cpu().numpy()
        return out

    @classmethod
    def concatenate(cls, parts: Sequence[FramePeople], joints: int) -> FramePeople:
        """Concatenate over time; columns are padded to the most people of any part."""
        if not parts:
            return cls.empty(0, 1, joints)
        if len(parts) == 1:
            return parts[0]
        out = cls.empty(sum(len(p.xyz_mm) for p in parts), max(p.xyz_mm.shape[1] for p in parts), joints)
        start = 0
        for part in parts:
            end, columns = start + len(part.xyz_mm), part.xyz_mm.shape[1]
            out.xyz_mm[start:end, :columns] = part.xyz_mm
            out.score[start:end, :columns] = part.score
            out.covariance_mm2[start:end, :columns] = part.covariance_mm2
            start = end
        return out

    @property
    def certain_mm(self) -> F64:
        """(T, P, J, 3) joints of positive score, NaN for the others."""
        return np.where(self.score[..., None] > 0, self.xyz_mm, np.nan)

    def frames(self, chosen: slice | np.ndarray) -> FramePeople:
        """Return some of the frames."""
        return FramePeople(self.xyz_mm[chosen], self.score[chosen], self.covariance_mm2[chosen])

    def converted(self, source: Skeleton, target: Skeleton) -> FramePeople:
        """Convert the joints of one set to those of another."""
        xyz_mm, score = convert(self.xyz_mm, self.score, source, target)
        return FramePeople(xyz_mm, score, convert_covariance(self.covariance_mm2, source, target))

    def known(self, device: torch.device) -> KnownPeople:
        """Return the people with any joints, K in one sequence, as network input."""
        sample, column = np.nonzero(np.isfinite(self.xyz_mm).all(-1).any(-1))
        return KnownPeople(
            float_tensor(self.xyz_mm[sample, column], device),
            float_tensor(self.covariance_mm2[sample, column], device),
            torch.from_numpy(sample).to(device),
        )
