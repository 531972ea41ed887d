"""Demo room with two walking people and eight cameras on its walls."""

from __future__ import annotations

import functools

from core.body.models.free import free_body
from core.synthetic.rendering.renderer import DressedPeople, RoomCamera
from core.synthetic.rendering.room import furniture
from core.synthetic.rendering.wardrobe import OUTFITS, SOLE_MM
from core.synthetic.rigs import camera
from core.synthetic.walking import Walker, WalkingPeople
from core.types.camera import CameraRig

ROOM_FPS = 10.0
_SIZE_PX = (640, 480)
# Four cameras in the corners, four on the walls between them: position in mm, field of view in degrees, k1.
_CAMERAS = (
    ((2900, 2500, 2250), 66.0, -0.12),
    ((-2900, 2500, 2050), 68.0, -0.10),
    ((-2900, -2500, 2250), 66.0, -0.13),
    ((2900, -2500, 1950), 68.0, -0.11),
    ((3150, 300, 2150), 70.0, -0.12),
    ((-3150, -300, 2300), 70.0, -0.10),
    ((300, 2750, 2300), 72.0, -0.13),
    ((-300, -2750, 2150), 72.0, -0.11),
)


def room_rig(n_cameras: int = len(_CAMERAS)) -> CameraRig:
    """Return the exact rig of the first `n_cameras` cameras of the demo room."""
    cameras = (
        camera(
            f"cam{i + 1:02d}", centre, (0, 0, 850), size_px=_SIZE_PX, fov_deg=fov, distortion=(k1, -0.2 * k1, 0, 0, 0)
        )
        for i, (centre, fov, k1) in enumerate(_CAMERAS[:n_cameras])
    )
    return CameraRig(cameras=tuple(cameras), source="The exact rig of the demo room, which needs no calibration.")


@functools.lru_cache(maxsize=1)
def room_walk() -> WalkingPeople:
    """Return the two people of the demo room, who walk in opposite directions, one around the other."""
    model = free_body()
    walkers = (
        Walker(
            betas=(0.5, *[0.0] * 9),
            axes_mm=(1500.0, 1250.0),
            loops=7,
            phase=0.0,
            gestures=(
                ("wave", "right", 3.0, 8.0),
                ("point", "left", 17.0, 21.0),
                ("reach", "right", 31.0, 35.0),
                ("reach", "left", 31.5, 35.5),
                ("phone", "right", 44.0, 54.0),
            ),
            sole_mm=SOLE_MM,
        ),
        Walker(
            betas=(-0.5, *[0.4] * 9),
            axes_mm=(850.0, 600.0),
            loops=-10,
            phase=0.5,
            gestures=(
                ("phone", "left", 6.0, 15.0),
                ("wave", "left", 22.0, 27.0),
                ("point", "right", 38.0, 42.0),
                ("reach", "left", 50.0, 53.0),
            ),
            sole_mm=SOLE_MM,
        ),
    )
    return WalkingPeople(model, walkers)


@functools.lru_cache(maxsize=1)
def room_people() -> DressedPeople:
    """Return the dressed people of the demo room."""
    return DressedPeople(room_walk(), OUTFITS)


@functools.lru_cache(maxsize=len(_CAMERAS))
def room_camera(number: int) -> RoomCamera:
    """Return a camera of the demo room by index; its image of the empty room is rendered on the first call."""
    return RoomCamera(room_rig().cameras[number], furniture(), seed=number)
