"""Bones, joints and meshes of the bodies of a take.

Legend: T frame, P person, N present person, V vertex, J joint.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.body.model import BodyModel, BoneTransforms, RestBodies
from core.errors import CoreError
from core.geometry.so3 import exp
from core.types.arrays import F32, F64, I64
from core.types.body import BodySequence


@dataclass(frozen=True, slots=True, eq=False)
class BodyMotion:
    """Bodies of a take with their model.

    Attributes:
        model: Body model of the sequence.
        bodies: Shapes and poses.
        rest: Shaped bodies of all people in the T pose.
    """

    model: BodyModel
    bodies: BodySequence
    rest: RestBodies

    @classmethod
    def of(cls, model: BodyModel, bodies: BodySequence) -> BodyMotion:
        """Return the bodies with their shapes evaluated.

        Raises:
            CoreError: The bodies were fitted with another model.
        """
        if model.name != bodies.model or model.joints != bodies.joints or model.n_shape != bodies.betas.shape[1]:
            raise CoreError(
                f"These bodies were fitted with the body model '{bodies.model}', not with '{model.name}'.",
                "Fit them again with 'fit-body'.",
            )
        made_with = bodies.provenance.get("body", {}).get("sha256", model.source_sha256)
        if made_with != model.source_sha256:
            raise CoreError(
                f"These bodies were fitted with a file of the body model '{model.name}' other than the one on this "
                "computer: its shapes may differ.",
                "Fit them again with 'fit-body', or add the original file.",
            )
        return cls(model, bodies, model.rest(bodies.betas))

    def people(self, frame: int) -> I64:
        """Return the column indices (N,) of the people present in a frame."""
        return np.flatnonzero(np.isfinite(self.bodies.pelvis_mm[frame, :, 0]))

    def bones(self, frame: int) -> BoneTransforms:
        """Return the bone transforms (N, J, ...) of the people present in a frame."""
        people = self.people(frame)
        rotations = exp(self.bodies.rotations_rad[frame, people].astype(np.float64))
        return self.model.transforms(self.rest.joints_mm[people], rotations, self.bodies.pelvis_mm[frame, people])

    def vertices_mm(self, frame: int) -> F32:
        """Return the posed vertices (N, V, 3) in world coordinates of the people present in a frame."""
        return self.model.skin(self.rest.vertices_mm[self.people(frame)], self.bones(frame))[0]

    def joints_mm(self, person: int, frames: slice) -> F64:
        """Return the joints (T, J, 3) of a person (column index) in world coordinates; NaN where absent."""
        bodies = self.bodies
        rotations, pelvis = bodies.rotations_rad[frames, person], bodies.pelvis_mm[frames, person]
        here = np.flatnonzero(np.isfinite(pelvis[:, 0]))
        rest = np.broadcast_to(self.rest.joints_mm[person], (len(here), *self.rest.joints_mm.shape[1:]))
        out = np.full((len(pelvis), *rest.shape[1:]), np.nan)
        bones = self.model.transforms(rest, exp(rotations[here].astype(np.float64)), pelvis[here])
        out[here] = self.model.posed_joints(rest, bones)
        return out
