"""Vicon's `.xcp`: XML, mm, z up, and a radial lens model that is fitted. See `core.rig_io.importers.xcp`."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np

from core.errors import CoreError
from core.rig_io.exporters.exporter import ANY_LENS, Rendered, RigExporter, focal_and_centre, lost, quaternion
from core.rig_io.vicon_lens import vicon_lens
from core.types.arrays import F64
from core.types.camera import Camera, CameraRig

_TITLE = "Vicon (.xcp)"
_ALLOWED_PX = 0.1


def _render(rig: CameraRig) -> Rendered:
    root = ElementTree.Element("Cameras", {"NAME": "", "VERSION": "1.0"})
    notes = []
    for number, camera in enumerate(rig, start=1):
        tag, error = _camera(number, camera)
        root.append(tag)
        if error > 0:
            notes.append(f"The lens of {camera.name} is kept to {error:.2g} px: Vicon's model has radial terms only.")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    declared = f'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n{text}\n'
    return Rendered(texts={"": declared}, notes=(*notes, *lost(rig, _TITLE)))


def _camera(number: int, camera: Camera) -> tuple[ElementTree.Element, float]:
    """The camera's element, and the error of its fitted lens, px."""
    focal_and_centre(camera, _TITLE)
    lens, error = vicon_lens(camera)
    if not error <= _ALLOWED_PX or lens.folds(camera.size_px):
        found = f"to {error:.2g} px only" if np.isfinite(error) else "not at all"
        raise CoreError(f"{_TITLE} can hold the lens of camera {camera.name} {found}.", ANY_LENS)
    focal = float(lens.focal_px[0])
    tag = ElementTree.Element(
        "Camera",
        {
            "DEVICEID": camera.name,
            "NAME": camera.name,
            "PIXEL_ASPECT_RATIO": repr(focal / float(lens.focal_px[1])),
            "SENSOR_SIZE": f"{camera.size_px[0]} {camera.size_px[1]}",
            "SKEW": "0",
            "TYPE": "Video",
            "USERID": str(number),
        },
    )
    centre = lens.principal_px + lens.centre * lens.focal_px
    radial = lens.radial / focal ** np.array([2.0, 4.0, 6.0])
    frame = {
        "FOCAL_LENGTH": repr(focal),
        "FRAME": "0",
        "IMAGE_ERROR": repr(float(camera.rmse_px or 0.0)),
        "PRINCIPAL_POINT": _words(lens.principal_px),
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
    summary="Millimetres, z up. Radial distortion, within 0.1 px or not at all; no skew, no time offsets.",
    default_name="rig.xcp",
    suffixes=(".xcp",),
    render=_render,
)
