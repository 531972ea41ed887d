"""Import of the cameras that Agisoft Metashape exports as XML: sensors with a calibration, cameras with a transform.

The transform takes camera coordinates (x right, y down, z forward) to those of the chunk, whose transform leads on to
the world. The principal point is relative to the image centre, pixel (0, 0) is the corner of the image, p1 and p2 are
OpenCV's p2 and p1, and b1 and b2 are an affinity and the skew (Metashape user manual, appendix C).
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from core.rig_io.raw import RawRig, RigImporter, Unread, invalid_file, matrix, rotation_matrix, safe_xml, text
from core.types.arrays import F64
from core.types.camera import Camera

_CORNER_TO_CENTRE_PX = 0.5
_PINHOLE = ("frame", "")
_FISHEYE = ("fisheye", "equidistant_fisheye")
_READ = ("resolution", "f", "fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4", "p1", "p2", "b1", "b2", "skew")


def _recognises(path: Path, content: str) -> bool:
    return "<sensor" in content and "<calibration" in content and "<camera" in content


def _read(path: Path) -> RawRig:
    root = safe_xml(path)
    chunk = root if root.tag == "chunk" else root.find("chunk")
    if chunk is None:
        raise invalid_file(path, "it has no <chunk>", "Export the cameras from Metashape as Agisoft XML.")
    sensors = {tag.get("id", ""): tag for tag in chunk.iter("sensor")}
    to_world = {tag.get("id", ""): _similarity(tag.find("transform"), path) for tag in chunk.iter("component")}
    whole = _similarity(chunk.find("transform"), path)
    cameras, unread, unaligned = [], [], []
    for tag in chunk.iter("camera"):
        name = text(tag.get("label", "")) or text(tag.get("id", "")) or "camera"
        lens, left = _lens(name, sensors.get(tag.get("sensor_id", "")), path)
        transform = tag.find("transform")
        if transform is None:
            unaligned.append(name)
            continue
        unread += left
        scale, rotation, translation = to_world.get(tag.get("component_id", "")) or whole or (1, np.eye(3), 0)
        both = matrix((transform.text or "").split(), (4, 4), path, f"camera {name}: transform")
        R = rotation_matrix(rotation @ both[:3, :3], path, name).T
        centre = scale * rotation @ both[:3, 3] + translation
        cameras.append(lens.replace(R=R, t_mm=-R @ centre))
    if not cameras:
        raise invalid_file(path, "none of its cameras is aligned", "Align the photos in Metashape first.")
    notes = [f"Omitted because not aligned: {', '.join(unaligned[:8])}."] if unaligned else []
    scaled = whole is not None or any(to_world.values())
    if not scaled:
        notes.append("The chunk has no scale: set it by a measured distance.")
    return RawRig(
        cameras=tuple(cameras),
        unit="m" if scaled else None,
        up=None,
        notes=tuple(notes),
        unread=tuple(unread),
        pose_is="camera_to_world",
    )


def _lens(name: str, sensor: ElementTree.Element | None, path: Path) -> tuple[Camera, list[Unread]]:
    """Return the unposed camera, and the parts of its calibration that OpenCV's models do not have."""
    found = [] if sensor is None else sensor.findall("calibration")
    calibration = next((tag for tag in found if tag.get("class") == "adjusted"), found[0] if found else None)
    if sensor is None or calibration is None:
        raise invalid_file(path, f"camera {name} has no calibration", "Export the calibration with the cameras.")
    kind = calibration.get("type", sensor.get("type", "frame")).lower()
    if kind not in _PINHOLE + _FISHEYE:
        hint = "Known are frame and fisheye: choose one of them in Metashape's camera calibration."
        raise invalid_file(path, f"camera {name}: the lens model '{kind[:40]}' is not known", hint)
    fisheye = kind in _FISHEYE
    p = {tag.tag: _one(tag.text, path, f"camera {name}: {tag.tag}") for tag in calibration if tag.tag in _READ[1:]}
    resolution = calibration.find("resolution")
    resolution = sensor.find("resolution") if resolution is None else resolution
    if resolution is None or ("f" not in p and "fy" not in p):
        raise invalid_file(path, f"camera {name} has no focal length or no resolution")
    width, height = (_one(resolution.get(key), path, f"camera {name}: {key}") for key in ("width", "height"))
    focal = p.get("f", p.get("fy", 0.0))
    centred = "f" in p  # older versions have fx, fy and an absolute principal point
    K = np.array(
        [
            [p.get("fx", focal + p.get("b1", 0.0)), p.get("b2", p.get("skew", 0.0)), p.get("cx", 0.0)],
            [0, focal, p.get("cy", 0.0)],
            [0, 0, 1],
        ]
    )
    K[:2, 2] += (np.array([width, height]) / 2 if centred else 0) - _CORNER_TO_CENTRE_PX
    k = [p.get(f"k{i}", 0.0) for i in (1, 2, 3, 4)]
    left = {"k4": k[3]} if not fisheye else {"p1": p.get("p1", 0.0), "p2": p.get("p2", 0.0)}
    left |= {tag.tag: 1.0 for tag in calibration if tag.tag not in _READ and (tag.text or "").strip("0. \n") != ""}
    left = {key: value for key, value in left.items() if value}
    levels = [Unread(camera=name, key=key, level="ok" if len(key) > 2 else "error") for key in left]
    tangential = [p.get("p2", 0.0), p.get("p1", 0.0)]
    return (
        Camera(
            name=name,
            size_px=(round(width), round(height)),
            K=K,
            distortion=np.array(k if fisheye else [*k[:2], *tangential, k[2]]),
            distortion_model="fisheye" if fisheye else "pinhole",
        ),
        levels,
    )


def _similarity(tag: ElementTree.Element | None, path: Path) -> tuple[float, F64, F64] | None:
    """Return scale, rotation and translation of a transform to the world."""
    if tag is None or tag.find("rotation") is None:
        return None
    parts = {child.tag: matrix((child.text or "").split(), (n,), path, child.tag) for child, n in _sized(tag)}
    scale = float(parts.get("scale", np.ones(1))[0])
    if not 1e-9 < scale < 1e9:
        raise invalid_file(path, f"the scale of the chunk is {scale:.3g}")
    return scale, rotation_matrix(parts["rotation"], path, "of the chunk"), parts.get("translation", np.zeros(3))


def _sized(tag: ElementTree.Element) -> list[tuple[ElementTree.Element, int]]:
    sizes = {"rotation": 9, "translation": 3, "scale": 1}
    return [(child, sizes[child.tag]) for child in tag if child.tag in sizes]


def _one(value: str | None, path: Path, what: str) -> float:
    return float(matrix((value or "").split(), (1,), path, what)[0])


IMPORTER = RigImporter(
    name="metashape", title="Agisoft Metashape (XML)", patterns=("*.xml",), recognises=_recognises, read=_read
)
