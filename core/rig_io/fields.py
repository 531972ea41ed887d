"""Vocabulary of calibration files: the fields of a camera under the names that programs give them.

Unrecognised fields are kept by name, so that they can be reported.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# Names in lower case without separators, the preferred one first.
_NAMES: dict[str, tuple[str, ...]] = {
    "K": (
        "k", "cameramatrix", "intrinsicmatrix", "intrinsic", "intrinsics", "intrinsicparameters", "mtx", "matrix",
        "kmat", "kmatrix", "cammatrix", "calibrationmatrix",
    ),
    "focal": ("focallength", "focal", "focalpx", "focallengthpx"),
    "principal": ("principalpoint", "opticalcenter", "opticalcentre", "imagecenter", "pp"),
    "fx": ("fx", "fu", "focalx", "focallengthx", "mu", "flx"),
    "fy": ("fy", "fv", "focaly", "focallengthy", "mv", "fly"),
    "cx": ("cx", "ppx", "pu", "u0", "centerx", "centrex", "principalpointx"),
    "cy": ("cy", "ppy", "pv", "v0", "centery", "centrey", "principalpointy"),
    "skew": ("skew",),
    "distortion": (
        "dist", "distortion", "distortions", "distortioncoefficients", "distortioncoefficient", "distcoeffs",
        "distortioncoeffs", "distortioncoeff", "distcoeff", "distcoef", "distcoefs", "distcoefficients",
        "distortionvector", "distortionparams", "distortionparameters", "distortionmatrix", "distparams", "d", "coeffs",
        "coefficients", "kc", "lensdistortion",
    ),
    "radial": ("radial", "radialdistortion", "radialcoefficients", "radialdist"),
    "tangential": ("tangential", "tangentialdistortion", "tangentialcoefficients", "tangentaldistortion"),
    "rotation": (
        "rotationmatrix", "rot", "r", "rotation", "rmat", "rvec", "rotationvector", "rodrigues", "extrinsicr", "om",
        "rvecs",
    ),
    "quaternion": ("quaternion", "quat", "qvec", "orientation", "rotationquaternion"),
    "translation": ("t", "tvec", "translation", "translationvector", "extrinsict", "trans", "tvecs", "tran"),
    "centre": (
        "position", "cameraposition", "centre", "center", "cameracenter", "cameracentre", "location", "camerapos",
    ),
    "pose": (
        "rt", "extrinsic", "extrinsics", "extrinsicmatrix", "extrinsicparameters", "extrinsicsmatrix", "worldtocamera",
        "worldtocam", "world2camera", "world2cam", "w2c", "tcw", "tcamworld", "tcameraworld", "camfromworld",
        "camerafromworld", "viewmatrix", "extmat", "extmatrix",
    ),
    "pose_to_world": (
        "cam2world", "camtoworld", "cameratoworld", "camera2world", "c2w", "worldfromcam", "worldfromcamera", "twc",
        "tworldcam", "tworldcamera", "camerapose", "cameraposematrix", "pose", "posematrix",
    ),
    "pose_opengl": ("transformmatrix",),
    "size": ("size", "imagesize", "imgsize", "imsize", "resolution", "imageresolution", "imageshape", "videosize"),
    "width": ("width", "imagewidth", "imgwidth", "imwidth", "w"),
    "height": ("height", "imageheight", "imgheight", "imheight", "h"),
    "name": ("name", "cameraname", "camname", "label", "cameraid", "camid", "id", "serial", "serialnumber", "serialno"),
    "model": (
        "cameramodel", "distortionmodel", "distortiontype", "lensmodel", "lenstype", "lens", "modeltype", "isfisheye",
        "fisheye", "model", "projectionmodel", "projectiontype", "classname", "intrinsicmodel", "distmodel", "disttype",
    ),
    "time_offset": ("timeoffsets",),
    "convention": ("convention",),
    "rmse": ("rmse",),
}  # fmt: skip
_FIELD = {spelling: name for name, spellings in _NAMES.items() for spelling in spellings}
_COEFFICIENT = re.compile(r"k[1-6]|p[12]|s[1-4]|tau[xy12]")
_POSE_FIELDS = frozenset({"rotation", "quaternion", "translation", "centre", "pose", "pose_to_world", "pose_opengl"})
_LENS_FIELDS = frozenset({"K", "fx", "fy", "focal"})
# Known fields without effect on the projection.
_IGNORED = re.compile(
    r"(avg|mean|rms|max|total)?(reprojection|calibration|projection|pixel)?(error|err|rms|residual)s?(px)?|rms|"
    r"rectif(y|ication)(alpha|matrix)?|projection(matrix)?|(inv|inverse)k(mat|matrix)?|krt|ccm|rostopic|camoverlaps|"
    r"rectifyalpha|nframes|nframe|nrofframes|framecount|gridcount|board\w*|squaresize|flags|calibrationtime|date|time|"
    r"created|port|rotationcount|exposure|ignore|adjusted|metadata|version|schema|units?|lengthunit|nbcamera|cameragroup|"
    r"imagepath|images?|imagenames?|framerate|fps|essential(matrix)?|fundamental(matrix)?|binning[xy]?|roi|header|"
    r"filepath|filename|file|cameraangle[xy]|aabbscale|aabb|"
    r"verifiedresolutions|framename|frameid|panel|node|type|digest|source|floorguessed|world2cam|logger|disparitytodepth\w*|"
    r"valid(pix)?roi\d?|serialization|aspectratio|skipped|comment|description|timestamp"
)
_LIKE_DISTORTION = re.compile(
    r"dist|radial|tang|lens|prism|fisheye|kappa|coef|brown|kannala|^k\d|^p\d|^xi$|^alpha$|^beta$|omni|mirror|^d\d?$",
    re.I,
)
_KINDS = ("type", "cameratype", "kind")
_LENS_WORD = re.compile(r"fish|omni|equi|kannala|scaramuzza|catadioptric|brown|plumb|radtan|pinhole|sphere|^mei$", re.I)
_UNIT = re.compile(r"(.+?)_(?:in_)?(mm|cm|m)", re.I)
_SHORTEST_MISSPELT = 8
_LARGEST_COEFFICIENT = 10.0
_CLOSENESS = 0.87


@dataclass(slots=True)
class CameraFields:
    """Fields of one camera.

    Attributes:
        values: Key in the file and value by field, in the order of the file; a field can occur under several keys.
        coefficients: Single distortion coefficients such as k1, by name.
        unread: Values that were not understood, by key.
        misspelt: Key in the file by the spelling it was taken for.
        units: Length units in the names of positions, such as "mm" of "t_mm".
    """

    values: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    coefficients: dict[str, Any] = field(default_factory=dict)
    unread: dict[str, Any] = field(default_factory=dict)
    misspelt: dict[str, str] = field(default_factory=dict)
    units: set[str] = field(default_factory=set)

    def __contains__(self, name: object) -> bool:
        return name in self.values

    @property
    def has_lens(self) -> bool:
        """True if there are intrinsics."""
        return any(name in self.values for name in _LENS_FIELDS)

    @property
    def has_pose(self) -> bool:
        """True if there is any part of a pose."""
        return any(name in self.values for name in _POSE_FIELDS)

    def first(self, name: str) -> Any:
        """Return the value of a field under its preferred key, or None."""
        found = self.values.get(name)
        return min(found, key=lambda item: _preference(name, item[0]))[1] if found else None

    def add(self, name: str, key: str, value: Any) -> None:
        """Add a value."""
        self.values.setdefault(name, []).append((key, value))

    def merge(self, other: CameraFields) -> None:
        """Add all values of another table."""
        for name, found in other.values.items():
            self.values.setdefault(name, []).extend(found)
        self.coefficients |= other.coefficients
        self.unread |= other.unread
        self.misspelt |= other.misspelt
        self.units |= other.units


def spelled(key: Any) -> str:
    """Return a key in lower case without separators."""
    return re.sub(r"[_\-\s./]", "", str(key).lower())


def is_matrix(value: Any) -> bool:
    """Return True if a mapping is an OpenCV matrix or a vector with named components."""
    if not isinstance(value, Mapping):
        return False
    return "data" in value or {"x", "y", "z"} <= {str(key).lower().lstrip("q") for key in value}


def count_numbers(value: Any) -> int:
    """Count the numbers in a nested value, including strings that contain numbers."""
    if isinstance(value, Mapping):
        return count_numbers(value["data"]) if "data" in value else sum(map(count_numbers, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(count_numbers, value))
    if isinstance(value, str):
        return int(re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value.strip()) is not None)
    return int(isinstance(value, int | float) and not isinstance(value, bool))


def field_name(key: str, value: Any) -> str | None:
    """Return the field of a key; the value resolves letters with several meanings."""
    name = _FIELD.get(spelled(key))
    numbers = count_numbers(value)
    if key in ("k", "p") and not isinstance(value, Mapping) and 0 < numbers <= 6:
        return "radial" if key == "k" else "tangential"
    if key in ("f", "c") and 0 < numbers <= 2:
        return "focal" if key == "f" else "principal"
    if key in ("q", "Q") and numbers == 4:
        return "quaternion"
    if spelled(key) in _KINDS and isinstance(value, str) and _LENS_WORD.search(value):
        return "model"
    if key == "C" and numbers == 3:
        return "centre"
    if key == "M" and numbers == 9:
        return "K"
    if name == "pose" and isinstance(value, bool):
        return "world_to_camera"
    if name == "K" and spelled(key) == "matrix" and numbers not in (9, 4):
        return "pose" if numbers in (12, 16) else "K"
    return name


def read_fields(table: Mapping[str, Any]) -> CameraFields:
    """Return the fields of a camera; groups of fields such as "extrinsics" may be nested."""
    found = CameraFields()
    for key, value in table.items():
        if value is None:
            continue
        name = field_name(key, value)
        suffixed = _UNIT.fullmatch(key) if name is None else None
        if suffixed and field_name(suffixed[1], value) in ("translation", "centre"):
            name = field_name(suffixed[1], value)
            found.units.add(suffixed[2].lower())
        if name is None and _is_ignored(key, value):
            continue
        if name is None and _COEFFICIENT.fullmatch(spelled(key)) and count_numbers(value) == 1:
            found.coefficients[spelled(key)] = value
        elif isinstance(value, Mapping) and not is_matrix(value):
            inner = read_fields({str(k): v for k, v in value.items()})
            if name is not None:  # the name of a model or of a group, not of the camera
                named = inner.values.pop("name", []) if name in ("model", "distortion") else []
                inner.values.setdefault("model", []).extend((key, word) for _, word in named if isinstance(word, str))
                inner.values.pop("name", None)
                inner.values = {field: found for field, found in inner.values.items() if found}
            if inner.values or inner.coefficients:
                found.merge(inner)
            else:
                found.unread[key] = value
        elif name is not None:
            found.add(name, key, value)
        elif (correct := _misspelling(key)) is not None:
            found.add(_FIELD[correct], key, value)
            found.misspelt[key] = correct
        else:
            found.unread[key] = value
    return found


def unread_distortion(key: str, value: Any) -> bool:
    """Return True if an unread field may be part of the distortion, and is not all zero."""
    return _LIKE_DISTORTION.search(key) is not None and any(_leaves(value))


def unread_numbers(value: Any) -> bool:
    """Return True if an unread field may affect the projection: several numbers, or a possible coefficient.

    Distortion coefficients are fractions below ten; settings and counts are mostly integers.
    """
    if count_numbers(value) != 1:
        return count_numbers(value) > 1
    number = float(next(leaf for leaf in _leaves(value) if count_numbers(leaf)))
    return 0 < abs(number) < _LARGEST_COEFFICIENT and not number.is_integer()


def has_geometry(value: Any) -> bool:
    """Return True if a value is, or contains, the table of a camera."""
    if isinstance(value, Mapping):
        fields = {field_name(str(k), v) for k, v in value.items() if not isinstance(v, Mapping) or is_matrix(v)}
        return bool(fields & (_LENS_FIELDS | _POSE_FIELDS)) or any(map(has_geometry, value.values()))
    return isinstance(value, list) and bool(value) and all(map(has_geometry, value))


def appended_name(key: str, value: Any) -> tuple[str, str, str] | None:
    """Split a key such as "K_cam01", "cameraMatrix1" or "leftCameraMatrix".

    Returns:
        Field, key without the name, and name of the camera; None if the key has no known field.
    """
    for prefix, name in _splits(key):
        found = field_name(prefix, value)
        if found is None and prefix.upper() == "M" and count_numbers(value) == 9:
            found = "K"
        if found is not None and name:
            return found, prefix, name
    for prefix, name in _splits(key):
        correct = _misspelling(prefix)
        if correct is not None and name:
            return _FIELD[correct], correct, name
    return None


def _splits(key: str) -> Iterator[tuple[str, str]]:
    parts = key.split("_")
    for at in range(len(parts) - 1, 0, -1):
        yield "_".join(parts[:at]), "_".join(parts[at:])
    numbered = re.fullmatch(r"(.*[A-Za-z])(\d+)", key)
    if numbered:
        yield numbered[1], numbered[2]
    sided = re.fullmatch(r"(.*[a-z])(Left|Right|L|R)", key)
    if sided:
        yield sided[1], sided[2].lower()
    leading = re.fullmatch(r"(?i:(left|right))_?(.+)", key)
    if leading:
        yield leading[2], leading[1].lower()


def _preference(name: str, key: str) -> int:
    spellings = _NAMES.get(name, ())
    return spellings.index(spelled(key)) if spelled(key) in spellings else len(spellings)


def _misspelling(key: str) -> str | None:
    """Return the name that a key resembles, such as "distortioncoefficients" for "distortion_coefficents"."""
    word = spelled(key)
    if len(word) < _SHORTEST_MISSPELT or _IGNORED.fullmatch(word):
        return None
    close = difflib.get_close_matches(word, [name for name in _FIELD if len(name) >= _SHORTEST_MISSPELT], 1, _CLOSENESS)
    return close[0] if close else None


def _is_ignored(key: str, value: Any) -> bool:
    word = spelled(key)
    if key in ("P", "E", "F", "Q", "H") or word in ("p1", "p2", "q", "r1", "r2"):
        return count_numbers(value) in (0, 9, 12, 16)
    return _IGNORED.fullmatch(word) is not None


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the numbers and words of a value."""
    if isinstance(value, Mapping):
        for inner in value["data"] if isinstance(value.get("data"), list) else value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
