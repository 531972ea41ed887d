"""Words for the lens model in the files of different programs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from core.rig_io.raw import invalid_file
from core.types.camera import DistortionModel

_PINHOLE = (
    "pinhole", "opencv", "plumbbob", "radtan", "radialtangential", "brown", "brownconrady", "perspective", "rational",
    "rationalpolynomial", "standard", "thinprism", "tilted", "fullopencv", "simplepinhole", "frame", "none",
    "distortionbrownconrady", "modifiedbrownconrady", "pinholecameraparameter", "normal",
)  # fmt: skip
_FISHEYE = (
    "fisheye", "equidistant", "equi", "kannalabrandt", "kannalabrandt4", "kb", "kb4", "opencvfisheye",
    "equidistantfisheye", "distortionkannalabrandt4", "fisheye4",
)  # fmt: skip
# XRPrimer's fisheye class holds the coefficients of OpenCV's rational model, by their names.
_NO_DISTORTION_MODEL = ("fisheyecameraparameter", "")
_FLAGS = ("fisheye", "isfisheye")
_TYPE_NUMBERS = ("distortiontype", "disttype")  # 0 Brown, 1 Kannala, as in MC-Calib


def distortion_model(words: Iterable[tuple[str, Any]], path: Path, name: str) -> DistortionModel:
    """Return the distortion model that fields of a camera state, "pinhole" if they state none.

    Args:
        words: Keys and values, such as ("camera_model", "pinhole") and ("distortion_model", "equidistant").
        path: File for messages.
        name: Camera for messages.

    Raises:
        CoreError: A word that is not known.
    """
    models = [_model(re.sub(r"[\W_]", "", key.lower()), key, value, path, name) for key, value in words]
    return "fisheye" if "fisheye" in models else "pinhole"


def _model(key: str, shown: str, value: Any, path: Path, name: str) -> DistortionModel | None:
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    word = re.sub(r"[\W_]", "", str(value).lower())
    if key in _FLAGS and (
        value is None or isinstance(value, bool | int | float) or word in ("true", "false", "0", "1")
    ):
        return "fisheye" if word not in ("false", "0", "00", "none", "") else "pinhole"
    if key in _TYPE_NUMBERS and word in ("0", "1", "00", "10"):
        return "fisheye" if word.startswith("1") else "pinhole"
    if word in _FISHEYE:
        return "fisheye"
    if word in _PINHOLE:
        return "pinhole"
    if value is None or word in _NO_DISTORTION_MODEL:
        return None
    raise invalid_file(
        path,
        f"camera {name}: the lens model '{str(value)[:60]}' of {shown} is not known",
        "Known are pinhole (also opencv, plumb_bob, radtan, brown_conrady, rational) and fisheye (also equidistant, "
        "kannala_brandt, opencv_fisheye): calibrate with one of them, or remove the field if it is not the lens model.",
    )
