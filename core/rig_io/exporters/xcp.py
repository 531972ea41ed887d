"""Export to Vicon's `.xcp`: XML, mm, z up, a fitted radial model. See `core.rig_io.importers.xcp`."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np

from core.errors import CoreError
from core.rig_io.exporters.exporter import (
    ANY_INTRINSICS,
    Rendered,
    RigExporter,
    focal_and_centre,
    quaternion,
    time_offset_notes,
)
from core.rig_io.vicon import vicon_intrinsics
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

_TITLE = "Vicon (.xcp)"
_MAX_ERROR_PX = 0.1


def _render(rig: CameraRig) -> Rendered:
    root = ElementTree.Element("Cameras", {"NAME": "", "VERSION": "1.0"})
    notes = []
    for number, camera in enumerate(rig, start=1):
        tag, error = _camera(number, camera)
        root.append(tag)
        if error > 0:
            text = f"The distortion of {camera.name} is approximated to {error:.2g} px"
            notes.append(f"{text}: Vicon's model has radial terms only.")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    declared = f'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n{text}\n'
    return Rendered(texts={"": declared}, notes=(*notes, *time_offset_notes(rig, _TITLE)))


def _camera(number: int, camera: Camera) -> tuple[ElementTree.Element, float]:
    """Return the camera's element and the error of its fitted distortion, px."""
    focal_and_centre(camera, _TITLE)
    intrinsics, error = vicon_intrinsics(camera)
    if not error <= _MAX_ERROR_PX or intrinsics.folds(camera.size_px):
        reason = f"an error of {error:.2g} px" if np.isfinite(error) else "a fold inside the image"
        raise CoreError(
            f"{_TITLE} cannot hold the distortion of camera {camera.name}: its radial model would have {reason}.",
            ANY_INTRINSICS,
        )
    focal = float(intrinsics.focal_px[0])
    tag = ElementTree.Element(
        "Camera",
        {
            "DEVICEID": camera.name,
            "NAME": camera.name,
            "PIXEL_ASPECT_RATIO": repr(focal / float(intrinsics.focal_px[1])),
            "SENSOR_SIZE": f"{camera.size_px[0]} {camera.size_px[1]}",
            "SKEW": "0",
            "TYPE": "Video",
            "USERID": str(number),
        },
    )
    centre = intrinsics.principal_px + intrinsics.centre * intrinsics.focal_px
    radial = intrinsics.radial / focal ** np.array([2.0, 4.0, 6.0])
    frame = {
        "FOCAL_LENGTH": repr(focal),
        "FRAME": "0",
        "IMAGE_ERROR": repr(float(camera.rmse_px or 0.0)),
        "PRINCIPAL_POINT": _words(intrinsics.principal_px),
        "VICON_RADIAL2": f"ViconRadial2 {_words(np.concatenate([centre, radial]))}",
        "WORLD_ERROR": "0",
    }
    if camera.posed:
        frame["ORIENTATION"] = _words(quaternion(camera))
        frame["POSITION"] = _words(camera.centre_mm)
    ElementTree.SubElement(ElementTree.SubElement(tag, "KeyFrames"), "KeyFrame", frame)
    return tag, error


def _words(values: F64) -> str:
    return " ".join(repr(float(value)) for value in values)


EXPORTER = RigExporter(
    name="xcp",
    title=_TITLE,
    summary="Millimetres, z up. Radial distortion, refused if the error exceeds 0.1 px; no skew, no time offsets.",
    default_name="rig.xcp",
    suffixes=(".xcp",),
    render=_render,
)
