"""Bodies of people who walk in front of cameras, from their joints to another process."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "body"))

from demo_walk import MODEL, walk

from core.body.sequence import BodyMotion
from core.live.bodies import LiveBodies
from core.live.stream import LivePeople, PeopleReader, PeopleRing
from core.types.skeleton import COCO17

COUNTED = [j for j, name in enumerate(MODEL.joints) if "foot" not in name and "hand" not in name]


def test_bodies_are_near_the_true_joints_and_hold_nobody_back() -> None:
    truth, exact = zip(*(walk(person, 60) for person in range(2)), strict=True)
    joints, xyz_mm = np.stack(truth, 1), np.stack(exact, 1)
    hidden = xyz_mm[:, :1].copy()
    hidden[:, :, 3:] = np.nan  # Three joints are too few for a body.
    xyz_mm = np.concatenate([xyz_mm, hidden], 1)
    fit, ids = LiveBodies(MODEL, COCO17), np.array([7, 3, 12])
    ring = PeopleRing()
    reader = PeopleReader(ring.name)
    errors: list[np.ndarray] = []
    try:
        for frame in range(0, 60, 3):
            time_s = frame / 30
            sent = LivePeople(
                skeleton=COCO17,
                time_ns=round(time_s * 1e9),
                newest_ns=0,
                ids=ids,
                xyz_mm=xyz_mm[frame],
                score=np.isfinite(xyz_mm[frame]).all(-1).astype(float),
                bodies=fit.update(time_s, ids, xyz_mm[frame]),
            )
            ring.put(sent)
            found = reader.newest()
            assert found is not None and found.bodies is not None and sent.bodies is not None
            np.testing.assert_allclose(found.xyz_mm, xyz_mm[frame], atol=0.06)
            # One shape a frame is found, from 0.3 s on.
            assert found.bodies.person_ids == ((), (7,), (7, 3))[np.searchsorted((0.29, 0.39), time_s)]
            np.testing.assert_allclose(found.bodies.betas, sent.bodies.betas, rtol=1e-6)
            motion = BodyMotion.of(MODEL, found.bodies)
            for row, number in enumerate(found.bodies.person_ids):
                gap = motion.joints_mm(row, slice(0, 1))[0] - joints[frame, (7, 3).index(number)]
                errors.append(np.linalg.norm(gap[COUNTED], axis=-1))
        ring.put(LivePeople(skeleton=COCO17, time_ns=0, newest_ns=0, ids=ids, xyz_mm=xyz_mm[0], score=np.ones((3, 17))))
        without = reader.newest()
        assert without is not None and without.bodies is None
    finally:
        reader.close()
        ring.close()
    assert np.mean(errors) < 15 and np.mean(errors, 1).max() < 25
