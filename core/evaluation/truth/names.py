"""Names of joints in other programs' files: COCO, CMU Panoptic, OpenPose, OpenSim with Pose2Sim, joint centres."""

from __future__ import annotations

import re

_SIDED = {
    "shoulder": "shoulder",
    "elbow": "elbow",
    "wrist": "wrist",
    "hip": "hip",
    "knee": "knee",
    "ankle": "ankle",
    "eye": "eye",
    "ear": "ear",
    # Joint centres of Vicon's Plug-in Gait and Visual3D.
    "sjc": "shoulder",
    "ejc": "elbow",
    "wjc": "wrist",
    "hjc": "hip",
    "kjc": "knee",
    "ajc": "ankle",
}
_MIDLINE = {
    "nose": "nose",
    "neck": "neck",
    "midhip": "mid_hip",
    "hip": "mid_hip",
    "hipmid": "mid_hip",
    "midhips": "mid_hip",
    "pelvis": "mid_hip",
    "bodycenter": "mid_hip",
    "headtop": "head_top",
    "topofhead": "head_top",
    "headbottom": "head_bottom",
}
_SIDES = {"left": "left", "right": "right", "l": "left", "r": "right"}


def joint_of_marker(marker: str) -> str | None:
    """Return the joint that a marker is, by its name; None for other markers.

    A prefix up to a colon, such as that of a subject, is ignored, as are case, spaces, points, dashes and underscores.
    """
    name = re.sub(r"[\s._\-]+", "", marker.rpartition(":")[2]).lower()
    if name in _MIDLINE:
        return _MIDLINE[name]
    for text, side in _SIDES.items():
        for rest in (name.removeprefix(text), name.removesuffix(text)):
            if rest != name and rest.removesuffix("joint") in _SIDED:
                return f"{side}_{_SIDED[rest.removesuffix('joint')]}"
    return None
