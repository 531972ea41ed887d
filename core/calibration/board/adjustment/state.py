"""State of the bundle adjustment: cameras, their prior, and observations arranged by image.

V cameras, P images, at most n points per image. A camera has 19 unknowns: its pose (6: rotation vector, translation),
its time offset (1), and its intrinsics (12, see `core.geometry.intrinsics`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from core.board.observations import BoardObservations
from core.geometry.intrinsics import N_INTRINSICS
from core.geometry.so3 import retract_left
from core.types.arrays import F64, I64
from core.types.camera import DistortionModel

N_UNKNOWNS = 6 + 1 + N_INTRINSICS
POSE, TIME_OFFSET, INTRINSICS = slice(0, 6), slice(6, 7), slice(7, N_UNKNOWNS)

# Standard deviation of a corner's coordinate relative to the longer side of the image. Corners are located to a tenth
# of a pixel, but rolling shutters, blur and uneven frame times add almost a pixel at 1280 px.
_NOMINAL_NOISE = 1.0 / 1280
# Prior standard deviation of time offsets (judgement).
_TIME_OFFSET_SD_S = 0.5


def nominal_noise_px(sizes_px: I64) -> float:
    """Return the expected noise of a corner's coordinate for image sizes (V, 2) in px."""
    return _NOMINAL_NOISE * float(sizes_px.max(1).mean())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cameras:
    """Parameters of the cameras in the bundle adjustment.

    Attributes:
        distortion_model: (V,) distortion models.
        intrinsics: (V, 12) intrinsic parameters.
        R: (V, 3, 3) world to camera rotations.
        t_mm: (V, 3) world to camera translations.
        time_offset_s: (V,) recorded time minus true time.
    """

    distortion_model: tuple[DistortionModel, ...]
    intrinsics: F64
    R: F64
    t_mm: F64
    time_offset_s: F64

    def __len__(self) -> int:
        return len(self.distortion_model)

    def retract(self, step: F64) -> Cameras:
        """Return the cameras updated by a step (V, 19)."""
        R, t_mm = retract_left(self.R, self.t_mm, step[:, POSE])
        return dataclasses.replace(
            self,
            R=R,
            t_mm=t_mm,
            time_offset_s=self.time_offset_s + step[:, 6],
            intrinsics=self.intrinsics + step[:, INTRINSICS],
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CameraPrior:
    """Gaussian prior of intrinsics and time offsets.

    Attributes:
        intrinsics: (V, 12) means of the intrinsic parameters.
        information: (V, 12, 12) inverse covariances of the intrinsic parameters.
        time_offset_sd_s: Standard deviation of time offsets about 0.
    """

    intrinsics: F64
    information: F64
    time_offset_sd_s: float = _TIME_OFFSET_SD_S


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoardImages:
    """Observations with one row per image, padded to the image with most points.

    Attributes:
        view: (P,) camera of each image, in increasing order.
        frame: (P,) frame of each image.
        time_s: (P,) recorded time of each image.
        board_mm: (P, n, 3) points in board coordinates.
        xy_px: (P, n, 2) observed points.
        valid: (P, n) bool, False for padding.
        row: (P, n) index of the observation, -1 for padding.
    """

    view: I64
    frame: I64
    time_s: F64
    board_mm: F64
    xy_px: F64
    valid: np.ndarray
    row: I64

    @classmethod
    def of(cls, seen: BoardObservations) -> BoardImages:
        """Arrange observations by image."""
        number, start, count = np.unique(seen.image, return_index=True, return_counts=True)
        width = int(count.max()) if len(count) else 0
        row = start[:, None] + np.arange(width)
        valid = np.arange(width) < count[:, None]
        row = np.where(valid, row, -1)
        view, frame = np.divmod(number, len(seen.time_s))
        return cls(
            view=view,
            frame=frame,
            time_s=seen.time_s[frame, view],
            board_mm=seen.board.points_mm[seen.point[row]] if len(seen) else np.zeros((0, 0, 3)),
            xy_px=seen.xy_px[row] if len(seen) else np.zeros((0, 0, 2)),
            valid=valid,
            row=row,
        )

    def where(self, keep: np.ndarray) -> BoardImages:
        """Return the images selected by a mask (P,) or by row numbers in increasing order."""
        return BoardImages(**{f.name: getattr(self, f.name)[keep] for f in dataclasses.fields(self)})

    def __len__(self) -> int:
        return len(self.view)
