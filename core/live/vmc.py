"""Virtual Motion Capture protocol: live people to Unity, Unreal, Blender, Godot and others, by OSC over UDP.

See https://protocol.vmc.info/english.html, "Performance" messages. The protocol has one performer a port, so further
people go to the ports that follow. Each joint is sent as a tracker as well, for programs that want positions.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

import numpy as np

from core.body.model import BodyModel
from core.live.avatar import BonePose, avatar_poses, to_unity_m
from core.live.osc import osc_bundle, osc_message
from core.live.stream import LivePeople
from core.types.arrays import F64
from core.types.skeleton import Skeleton

_PACKET_BYTES = 1400  # fits a packet of Ethernet
_FORGET_S = 2.0  # after which the port of a person who left is given to another one
_CALIBRATED, _NORMAL = 3, 0
_NO_ROTATION = (0.0, 0.0, 0.0, 1.0)


class VmcSender:
    """Sends people by the VMC protocol.

    Args:
        host: Computer of the receiver.
        port: UDP port of the first person.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._start_ns: int | None = None
        self._seats: dict[int, tuple[int, int]] = {}  # number of the port and last time by person

    def send(self, people: LivePeople, model: BodyModel | None) -> None:
        """Send the people of one instant.

        Args:
            people: People.
            model: Model of their bodies; None without bodies.

        Raises:
            OSError: The network does not take them.
        """
        self._start_ns = people.time_ns if self._start_ns is None else self._start_ns
        time_s = (people.time_ns - self._start_ns) / 1e9
        self._seats = {p: s for p, s in self._seats.items() if people.time_ns - s[1] <= _FORGET_S * 1e9}
        bones = {} if people.bodies is None or model is None else avatar_poses(model, people.bodies)
        for person, xyz_mm in zip(people.ids.tolist(), people.xyz_mm, strict=True):
            taken = {seat for seat, _ in self._seats.values()}
            free = next(n for n in range(len(taken) + 1) if n not in taken)
            seat, _ = self._seats.get(person, (free, 0))
            self._seats[person] = (seat, people.time_ns)
            for packet in _packets(vmc_messages(bones.get(person, {}), xyz_mm, people.skeleton, time_s)):
                self._socket.sendto(packet, (self._host, self._port + seat))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def vmc_messages(bones: Mapping[str, BonePose], xyz_mm: F64, joints: Skeleton, time_s: float) -> list[bytes]:
    """Return the OSC messages of one person in one frame.

    Args:
        bones: Bones of the person.
        xyz_mm: (J, 3) joints in world coordinates, NaN where missing.
        joints: Joint set.
        time_s: Seconds from the start.
    """
    messages = [
        osc_message("/VMC/Ext/OK", 1, _CALIBRATED, _NORMAL),
        osc_message("/VMC/Ext/T", float(time_s)),
        osc_message("/VMC/Ext/Root/Pos", "root", 0.0, 0.0, 0.0, *_NO_ROTATION),
    ]
    for name, bone in bones.items():
        values = [*bone.position_m.tolist(), *bone.rotation.tolist()]
        messages.append(osc_message("/VMC/Ext/Bone/Pos", name, *values))
    for name, point in zip(joints.joints, to_unity_m(xyz_mm), strict=True):
        if np.isfinite(point).all():
            messages.append(osc_message("/VMC/Ext/Tra/Pos", name, *point.tolist(), *_NO_ROTATION))
    return messages


def _packets(messages: list[bytes]) -> list[bytes]:
    """Return bundles of messages that fit into a packet each."""
    groups: list[list[bytes]] = [[]]
    size = 16
    for message in messages:
        if groups[-1] and size + 4 + len(message) > _PACKET_BYTES:
            groups.append([])
            size = 16
        groups[-1].append(message)
        size += 4 + len(message)
    return [osc_bundle(group) for group in groups]
