"""Domain types: frozen, validated at construction, with their file formats.

Conventions: world coordinates are right-handed, in millimetres, z up, floor at z = 0. Camera coordinates are x right, y
down, z forward. Time is in seconds from the start of the take. Pixel (0, 0) is the centre of the top-left pixel. A
missing point is NaN with score 0. Letters in shapes: T frame, P person, J joint, V view.
"""

from core.types.body import BodySequence
from core.types.camera import Camera, CameraRig
from core.types.frame import Frame, FrameSet
from core.types.pose2d import Pose2D
from core.types.pose3d import Pose3DSequence
from core.types.skeleton import COCO17, COCO19, PANOPTIC15, SHELF14, Skeleton
from core.types.volume import CaptureVolume, SyntheticRange, VolumeSettings

__all__ = [
    "COCO17",
    "COCO19",
    "PANOPTIC15",
    "SHELF14",
    "BodySequence",
    "Camera",
    "CameraRig",
    "CaptureVolume",
    "Frame",
    "FrameSet",
    "Pose2D",
    "Pose3DSequence",
    "Skeleton",
    "SyntheticRange",
    "VolumeSettings",
]
