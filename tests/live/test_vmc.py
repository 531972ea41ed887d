"""Live people by the VMC protocol, read back with an OSC decoder that is not ours."""

import socket

import numpy as np
import pytest
from pythonosc.osc_bundle import OscBundle
from pythonosc.osc_message import OscMessage
from scipy.spatial.transform import Rotation

from core.live.avatar import BONES
from core.live.stream import LivePeople
from core.live.vmc import VmcSender
from core.types.skeleton import COCO17

HALF = np.sqrt(0.5)
_PARENTS = {bone.name: bone.parent for bone in BONES}
_STARTS = {bone.name: bone.joint for bone in BONES}


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
    return LivePeople(
        skeleton=COCO17,
        time_ns=5_000_000_000,
        newest_ns=5_000_000_000,
        ids=np.arange(1, len(poses) + 1),
        xyz_mm=np.array(poses),
        score=np.ones((len(poses), 17)),
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


def positions(found):
    """Positions in Unity's world of bones, from those relative to their parents."""
    world = {"": (np.zeros(3), Rotation.identity())}
    for bone in BONES:
        at, turned = world[bone.parent]
        position, rotation = found[bone.name]
        world[bone.name] = at + turned.apply(position), turned * Rotation.from_quat(rotation)
    return {name: at for name, (at, _) in world.items()}


def test_known_poses_come_out_exactly(receivers):
    raised = standing(right_elbow=(200, 0, 1730), right_wrist=(200, 0, 1970), left_ankle=(-120, -440, 520))
    sender = VmcSender("127.0.0.1", receivers[0].getsockname()[1])
    sender.send(people(standing(), raised))
    sender.close()
    rest, other = (received(one) for one in receivers)
    assert rest[0] == ("/VMC/Ext/OK", [1, 3, 0]) and rest[1] == ("/VMC/Ext/T", [0.0])
    assert ("/VMC/Ext/Root/Pos", ["root", 0, 0, 0, 0, 0, 0, 1]) in rest
    at_rest, moved = bones(rest), bones(other)
    assert at_rest.keys() == moved.keys() == set(_PARENTS)
    for name, (_, rotation) in at_rest.items():
        np.testing.assert_allclose(rotation, [0, 0, 0, 1], atol=1e-6, err_msg=name)
    # Metres, y up, left-handed: what is in front of the person is at greater z, what is on their right at greater x.
    np.testing.assert_allclose(at_rest["Hips"][0], [1.0, 0.95, 2.0], atol=1e-6)
    # Right arm straight up: a quarter turn about z. Left shin to the back: a quarter turn about x.
    np.testing.assert_allclose(moved["RightUpperArm"][1], [0, 0, HALF, HALF], atol=1e-6)
    np.testing.assert_allclose(moved["LeftLowerLeg"][1], [HALF, 0, 0, HALF], atol=1e-6)
    for name in moved.keys() - {"RightUpperArm", "LeftLowerLeg"}:
        np.testing.assert_allclose(moved[name][1], [0, 0, 0, 1], atol=1e-6, err_msg=name)


def test_bones_lead_to_the_joints_of_any_pose_and_trackers_are_the_joints(receivers):
    rng = np.random.default_rng(2)
    turned = Rotation.from_rotvec([0, 0, 1.1]).apply(standing() + rng.normal(0, 90, (17, 3)))
    sender = VmcSender("127.0.0.1", receivers[0].getsockname()[1])
    sender.send(people(turned))
    sender.close()
    messages = received(receivers[0])
    unity = dict(zip(COCO17.joints, turned[:, [0, 2, 1]] / 1000, strict=True))
    at = positions(bones(messages))
    for name, joint in _STARTS.items():
        if joint in unity:
            np.testing.assert_allclose(at[name], unity[joint], atol=1e-5, err_msg=name)
    trackers = {m[0]: m[1:4] for a, m in messages if a == "/VMC/Ext/Tra/Pos"}
    assert trackers.keys() == set(COCO17.joints)
    for joint, point in unity.items():
        np.testing.assert_allclose(trackers[joint], point, atol=1e-5)


def test_missing_joints_are_not_sent_and_nobody_without_hips(receivers):
    armless, hipless = standing(), standing()
    armless[COCO17.index("left_wrist")] = np.nan
    hipless[COCO17.index("left_hip")] = np.nan
    sender = VmcSender("127.0.0.1", receivers[0].getsockname()[1])
    sender.send(people(armless, hipless))
    sender.close()
    first, second = (received(one) for one in receivers)
    assert set(_PARENTS) - bones(first).keys() == {"LeftHand"}
    assert not bones(second) and len([a for a, _ in second if a == "/VMC/Ext/Tra/Pos"]) == 16
