"""Joint angles of bodies, by the definitions of the International Society of Biomechanics as far as joints allow.

The rotation of a segment relative to another is split into flexion about the transverse axis, abduction about the
floating axis, and rotation about the long axis of the moving segment (Grood and Suntay 1983; Wu et al. 2002):
R = X(flexion) Z(abduction) Y(rotation). All angles are 0 in upright standing with hanging arms.
docs/method/body.md has the table of signs.

Legend: T frame, P person, A angle.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from core.body.model import BODY_TO_WORLD
from core.errors import CoreError
from core.types.arrays import F64
from core.types.body import BodySequence

_BLOCK_FRAMES = 2048
_Axis = Literal["x", "y", "z"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointAngle:
    """Joint angle.

    Attributes:
        name: Name in files, such as "left_knee_flexion".
        title: Display name, such as "Left knee flexion".
        joint: Joint of the body model at which it is shown.
        positive: Movement that increases the angle.
    """

    name: str
    title: str
    joint: str
    positive: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Angles of one relative rotation.

    Attributes:
        joint: Joint at which the angles are shown.
        chain: Joints whose rotations are multiplied, parents first.
        order: Intrinsic order of the axes.
        angles: Name, sign and movement per axis of the order; those with empty names are not shown.
        neutral_deg: Rotation about z of the moving segment from the neutral pose to the T pose.
        elevation: Add the angle between the moving segment and its neutral direction.
    """

    joint: str
    chain: tuple[str, ...]
    order: Literal["XZY", "YZX"]
    angles: tuple[tuple[str, float, str], ...]
    neutral_deg: float = 0.0
    elevation: bool = False


def _groups() -> Iterator[_Group]:
    pelvis = (
        ("rotation", 1.0, "to the left, from facing along world x"),
        ("obliquity", -1.0, "left side down"),
        ("tilt", 1.0, "forwards"),
    )
    yield _Group(joint="pelvis", chain=("pelvis",), order="YZX", angles=pelvis)
    bending = (("flexion", 1.0, "forwards"), ("bending", -1.0, "to the left"), ("rotation", 1.0, "to the left"))
    yield _Group(joint="trunk", chain=("spine1", "spine2", "spine3"), order="XZY", angles=bending)
    yield _Group(joint="neck", chain=("neck", "head"), order="XZY", angles=bending)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        ball = (
            ("flexion", -1.0, "forwards"),
            ("abduction", sign, "away from the body"),
            ("rotation", -sign, "inwards"),
        )
        hinge = (("flexion", 1.0, "bent"), ("", 1.0, ""), ("", 1.0, ""))
        yield _Group(joint=f"{side}_hip", chain=(f"{side}_hip",), order="XZY", angles=ball)
        yield _Group(joint=f"{side}_knee", chain=(f"{side}_knee",), order="XZY", angles=hinge)
        yield _Group(
            joint=f"{side}_shoulder",
            chain=(f"{side}_collar", f"{side}_shoulder"),
            order="XZY",
            angles=ball,
            neutral_deg=90.0 * sign,
            elevation=True,
        )
        elbow = (("flexion", -sign, "bent"), ("", 1.0, ""), ("", 1.0, ""))
        yield _Group(joint=f"{side}_elbow", chain=(f"{side}_elbow",), order="YZX", angles=elbow)


_GROUPS = tuple(_groups())


def _angle(joint: str, name: str, positive: str) -> JointAngle:
    title = f"{joint} {name}".replace("_", " ")
    # The angles of the trunk are shown at its middle joint.
    shown = "spine2" if joint == "trunk" else joint
    return JointAngle(name=f"{joint}_{name}", title=title[:1].upper() + title[1:], joint=shown, positive=positive)


JOINT_ANGLES: tuple[JointAngle, ...] = tuple(
    _angle(group.joint, name, positive)
    for group in _GROUPS
    for name, _, positive in (*group.angles, *((("elevation", 1.0, "arm raised"),) if group.elevation else ()))
    if name
)
"""All joint angles, in the order of `joint_angles`."""


def joint_angles(bodies: BodySequence) -> F64:
    """Return the angles (T, P, A) of `JOINT_ANGLES` in degrees, NaN where a person is absent.

    Angles are unwrapped over time: a person who turns around twice ends at 720 degrees.

    Raises:
        CoreError: The body model lacks a joint.
    """
    needed = {joint for group in _GROUPS for joint in group.chain}
    if missing := sorted(needed - set(bodies.joints)):
        raise CoreError(
            f"The body model '{bodies.model}' has no joint '{missing[0]}'.",
            "Joint angles need a body model with the joints of SMPL.",
        )
    T, P = bodies.present.shape
    out = np.full((T, P, len(JOINT_ANGLES)), np.nan)
    for p in range(P):
        here = np.flatnonzero(bodies.present[:, p])
        for start in range(0, len(here), _BLOCK_FRAMES):
            frames = here[start : start + _BLOCK_FRAMES]
            rotations = Rotation.from_rotvec(bodies.rotations_rad[frames, p].reshape(-1, 3).astype(np.float64))
            out[frames, p] = _of_frames(rotations.as_matrix().reshape(len(frames), -1, 3, 3), bodies.joints)
        out[here, p] = np.unwrap(out[here, p], axis=0, period=360.0)
    return out


def _of_frames(R: F64, joints: tuple[str, ...]) -> F64:
    """Return the angles (N, A) of joint rotations (N, J, 3, 3)."""
    columns = []
    for group in _GROUPS:
        turned = functools.reduce(np.matmul, (R[:, joints.index(name)] for name in group.chain))
        if group.joint == "pelvis":
            turned = BODY_TO_WORLD.T @ turned
        turned = turned @ Rotation.from_euler("z", group.neutral_deg, degrees=True).as_matrix()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # gimbal lock of an arm exactly sideways
            found = Rotation.from_matrix(turned).as_euler(group.order, degrees=True)
        columns += [sign * found[:, i] for i, (name, sign, _) in enumerate(group.angles) if name]
        if group.elevation:
            columns.append(np.degrees(np.arccos(np.clip(turned[:, 1, 1], -1, 1))))
    return np.stack(columns, axis=-1)
