"""Virtual Motion Capture protocol (OSC over UDP), to send live people to Unity, Unreal, Blender, Godot and others.

See https://protocol.vmc.info/english.html, "Performance" messages. The protocol has one performer per port, so
further people use the following ports. Each joint is also sent as a tracker, for programs that need positions.
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

_PACKET_BYTES = 1400  # fits into an Ethernet frame
_FORGET_S = 2.0  # after which the port of a person who has left is reused
_CALIBRATED, _NORMAL = 3, 0
_NO_ROTATION = (0.0, 0.0, 0.0, 1.0)


class VmcSender:
    """Sender of people by the VMC protocol.

    Args:
        host: Host name or address of the receiver.
        port: UDP port of the first person.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._start_ns: int | None = None
        self._ports: dict[int, tuple[int, int]] = {}  # port index and time of last use by person

    def send(self, people: LivePeople, model: BodyModel | None) -> None:
        """Send people.

        Args:
            people: People.
            model: Body model of their bodies; None without bodies.

        Raises:
            OSError: They cannot be sent.
        """
        self._start_ns = people.time_ns if self._start_ns is None else self._start_ns
        time_s = (people.time_ns - self._start_ns) / 1e9
        self._ports = {p: s for p, s in self._ports.items() if people.time_ns - s[1] <= _FORGET_S * 1e9}
        bones = {} if people.bodies is None or model is None else avatar_poses(model, people.bodies)
        for person, xyz_mm in zip(people.ids.tolist(), people.xyz_mm, strict=True):
            taken = {seat for seat, _ in self._ports.values()}
            free = next(n for n in range(len(taken) + 1) if n not in taken)
            seat, _ = self._ports.get(person, (free, 0))
            self._ports[person] = (seat, people.time_ns)
            for packet in _packets(vmc_messages(bones.get(person, {}), xyz_mm, people.skeleton, time_s)):
                self._socket.sendto(packet, (self._host, self._port + seat))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def vmc_messages(bones: Mapping[str, BonePose], xyz_mm: F64, joints: Skeleton, time_s: float) -> list[bytes]:
    """Return the OSC messages for one person in one frame.

    Args:
        bones: Bone poses of the person.
        xyz_mm: (J, 3) joints in world coordinates, NaN where missing.
        joints: Skeleton of the joints.
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
    """Return the messages as bundles, each of which fits into a packet."""
    groups: list[list[bytes]] = [[]]
    size = 16
    for message in messages:
        if groups[-1] and size + 4 + len(message) > _PACKET_BYTES:
            groups.append([])
            size = 16
        groups[-1].append(message)
        size += 4 + len(message)
    return [osc_bundle(group) for group in groups]
