"""Bodies of live people, fitted once for all that draw or send them."""

from __future__ import annotations

import numpy as np

from core.body.model import BodyModel
from core.body.online import OnlineBodyFit
from core.geometry.so3 import log
from core.types.arrays import F64, I64
from core.types.body import BodySequence
from core.types.skeleton import Skeleton


class LiveBodies:
    """Online fit of bodies to live people.

    Args:
        model: Body model.
        joints: Skeleton of the people.
    """

    def __init__(self, model: BodyModel, joints: Skeleton) -> None:
        self._fit = OnlineBodyFit(model, joints)

    def update(self, time_s: float, ids: I64, xyz_mm: F64) -> BodySequence:
        """Return the bodies of people whose shape is known, as a sequence of one frame.

        Args:
            time_s: Time of the people; must increase.
            ids: (P,) identities.
            xyz_mm: (P, J, 3) joints in world coordinates, NaN where missing.
        """
        found, model = self._fit.update(time_s, tuple(ids.tolist()), xyz_mm), self._fit.model
        known = np.flatnonzero(found.shaped)
        return BodySequence(
            model=model.name,
            joints=model.joints,
            time_s=np.zeros(1),
            person_ids=tuple(found.person_ids[row] for row in known),
            betas=found.betas[known],
            rotations_rad=log(found.rotations[known])[None].astype(np.float32),
            pelvis_mm=found.pelvis_mm[known][None],
        )
