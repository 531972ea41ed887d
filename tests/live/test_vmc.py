"""Live people by the VMC protocol, read back with an OSC decoder that is not ours."""

import itertools
import socket

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from scipy.spatial.transform import Rotation

from core.body.models.free import free_body
from core.body.sequence import BodyMotion
from core.live.avatar import AVATAR_BONES
from core.live.bodies import LiveBodies
from core.live.stream import LivePeople
from core.live.vmc import VmcSender
from core.types.skeleton import COCO17

_PARENTS = {"Hips": "", "Spine": "Hips", "Chest": "Spine", "UpperChest": "Chest", "Neck": "UpperChest", "Head": "Neck"}
for _side in ("Left", "Right"):
    _PARENTS |= {f"{_side}Shoulder": "UpperChest", f"{_side}UpperLeg": "Hips"}
    for _chain in (("Shoulder", "UpperArm", "LowerArm", "Hand"), ("UpperLeg", "LowerLeg", "Foot")):
        _PARENTS |= {f"{_side}{bone}": f"{_side}{parent}" for parent, bone in itertools.pairwise(_chain)}


def standing(**moved):
    """Joints (17, 3) in mm of a person in a T-pose at (1000, 2000), facing along +y, some of them moved."""
    at = {
        **{"nose": (0, 100, 1650), "left_eye": (-30, 90, 1680), "right_eye": (30, 90, 1680)},
        **{"left_ear": (-80, 0, 1650), "right_ear": (80, 0, 1650)},
    }
    for side, x in (("left", -1), ("right", 1)):
        at |= {
            f"{side}_shoulder": (200 * x, 0, 1450),
            f"{side}_elbow": (480 * x, 0, 1450),
            f"{side}_wrist": (720 * x, 0, 1450),
            f"{side}_hip": (120 * x, 0, 950),
            f"{side}_knee": (120 * x, 0, 520),
            f"{side}_ankle": (120 * x, 0, 80),
        }
    return np.array([moved.get(joint, at[joint]) for joint in COCO17.joints], float) + [1000, 2000, 0]


def people(*poses):
    """People who have stood like this for a moment, with their bodies."""
    fit, ids, xyz_mm = LiveBodies(free_body(), COCO17), np.arange(1, len(poses) + 1), np.array(poses)
    bodies = [fit.update(time_s, ids, xyz_mm) for time_s in (0.0, 0.3, 0.6)][-1]
    return LivePeople(
        skeleton=COCO17,
        time_ns=5_000_000_000,
        newest_ns=5_000_000_000,
        ids=ids,
        xyz_mm=xyz_mm,
        score=np.ones((len(poses), 17)),
        bodies=bodies,
    )


@pytest.fixture
def receivers():
    """Sockets at two successive ports."""
    for _ in range(50):
        first, second = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        first.bind(("127.0.0.1", 0))
        try:
            second.bind(("127.0.0.1", first.getsockname()[1] + 1))
        except OSError:
            continue
        with first, second:
            for one in (first, second):
                one.settimeout(10)
            yield first, second
        return


def received(receiver):
    """Messages that have arrived: (address, arguments)."""
    messages = []
    receiver.settimeout(10)
    while True:
        try:
            packet = receiver.recv(1 << 16)
        except (TimeoutError, BlockingIOError):
            return messages
        assert len(packet) <= 1400
        messages += [(m.address, m.params) for m in OscBundle(packet) if isinstance(m, OscMessage)]
        receiver.setblocking(False)


def bones(messages):
    return {m[0]: (np.array(m[1:4]), np.array(m[4:])) for a, m in messages if a == "/VMC/Ext/Bone/Pos"}


def worlds(found):
    """Positions and rotations in Unity's world of bones, from those relative to their parents."""
    world = {"": (np.zeros(3), Rotation.identity())}
    for name, parent in _PARENTS.items():
        at, turned = world[parent]
        position, rotation = found[name]
        world[name] = at + turned.apply(position), turned * Rotation.from_quat(rotation)
    return world


def turned_deg(rotation, axis):
    """Angle of a rotation about an axis."""
    return np.degrees(Rotation.from_quat(rotation).as_rotvec() @ axis)


def test_the_bones_are_those_of_the_avatar_in_its_own_coordinates(receivers):
    raised = standing(right_elbow=(200, 0, 1730), right_wrist=(200, 0, 1970), left_ankle=(-120, -440, 520))
    sender = VmcSender("127.0.0.1", receivers[0].getsockname()[1])
    sender.send(people(standing(), raised), free_body())
    sender.close()
    rest, other = (received(one) for one in receivers)
    assert rest[0] == ("/VMC/Ext/OK", [1, 3, 0]) and rest[1] == ("/VMC/Ext/T", [0.0])
    assert ("/VMC/Ext/Root/Pos", ["root", 0, 0, 0, 0, 0, 0, 1]) in rest
    at_rest, moved = bones(rest), bones(other)
    assert at_rest.keys() == moved.keys() == set(_PARENTS)
    # Metres, y up, left-handed: what is in front of the person is at greater z, what is on their right at greater x.
    np.testing.assert_allclose(at_rest["Hips"][0], [1.0, 0.95, 2.0], atol=0.08)
    here = worlds(at_rest)
    for name in ("Hips", "UpperChest", "RightLowerArm", "LeftLowerArm", "LeftLowerLeg"):
        assert here[name][1].magnitude() < np.radians(25), f"{name} is nearly at rest in a T-pose"
    assert here["RightHand"][0][0] > here["Hips"][0][0] + 0.4 > here["LeftHand"][0][0] + 0.8
    # Right arm straight up: a quarter turn about z. Left shin to the back: a quarter turn about x.
    there = worlds(moved)
    arm = (there["RightUpperArm"][1] * here["RightUpperArm"][1].inv()).as_quat()
    assert turned_deg(arm, [0, 0, 1]) == pytest.approx(90, abs=15)
    assert turned_deg(moved["LeftLowerLeg"][1], [1, 0, 0]) == pytest.approx(90, abs=20)


def test_bones_lead_to_the_joints_of_the_body_and_trackers_are_the_joints(receivers):
    rng = np.random.default_rng(2)
    turned = Rotation.from_rotvec([0, 0, 1.1]).apply(
        standing(left_wrist=(-480, 240, 1450)) + rng.normal(0, 15, (17, 3))
    )
    sender = VmcSender("127.0.0.1", receivers[0].getsockname()[1])
    seen = people(turned)
    sender.send(seen, free_body())
    sender.close()
    messages = received(receivers[0])
    body = BodyMotion.of(free_body(), seen.bodies).joints_mm(0, slice(0, 1))[0]
    joints = dict(zip(free_body().joints, body[:, [0, 2, 1]] / 1000, strict=True))
    at = worlds(bones(messages))
    x, y, _ = np.eye(3)
    for name, joint in AVATAR_BONES.items():
        np.testing.assert_allclose(at[name][0], joints[joint], atol=1e-3, err_msg=name)
    for name, axis in (("LeftLowerArm", -x), ("RightHand", x), ("LeftLowerLeg", -y), ("RightFoot", -y)):
        rest = bones(messages)[name][0]  # Avatars without these positions have limbs along the axes at rest.
        np.testing.assert_allclose(rest, axis * np.linalg.norm(rest), atol=1e-6, err_msg=name)
    trackers = {m[0]: m[1:4] for a, m in messages if a == "/VMC/Ext/Tra/Pos"}
    assert trackers.keys() == set(COCO17.joints)
    for joint, point in zip(COCO17.joints, turned[:, [0, 2, 1]] / 1000, strict=True):
        np.testing.assert_allclose(trackers[joint], point, atol=1e-5)


def test_missing_joints_are_not_sent_but_the_body_stays_whole(receivers):
    armless, nobody = standing(), np.full((17, 3), np.nan)
    armless[COCO17.index("left_wrist")] = np.nan
    nobody[:3] = standing()[:3]
    sender = VmcSender("127.0.0.1", receivers[0].getsockname()[1])
    sender.send(people(armless, nobody), free_body())
    sender.close()
    first, second = (received(one) for one in receivers)
    assert bones(first).keys() == set(_PARENTS) and len([a for a, _ in first if a == "/VMC/Ext/Tra/Pos"]) == 16
    assert not bones(second) and len([a for a, _ in second if a == "/VMC/Ext/Tra/Pos"]) == 3
