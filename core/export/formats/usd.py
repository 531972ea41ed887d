"""USD with UsdSkel: all people in one stage, each a skinned mesh with an animated skeleton. Needs the package usd-core.

`/World/P1` is the SkelRoot of a person, with `Skeleton`, `Animation` and `Body` (mesh) in it. Time codes are the times
of the take in frames, so that uneven times are kept. Where a person is absent its SkelRoot is invisible. Bodies whose
surface changes with the pose have blend shapes below `Body`.
"""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from core.body.sequence import BodyMotion
from core.disk import replacing
from core.export.bodies import (
    MAX_BONES,
    absence_notes,
    people_in,
    pose_blocks,
    quaternions,
    rest_joints,
    strongest_bones,
    terms_notes,
)
from core.export.correctives import Correctives, correctives, surface_notes
from core.export.exporter import (
    MM_PER,
    Content,
    ExportedResult,
    Exporter,
    ExportOptions,
    Units,
    UpAxis,
    frame_rate_hz,
    person_label,
)
from core.rendering.surfaces import vertex_normals
from core.types.arrays import F64

_SAVED_FRAMES = 16384
"""Frames after which the file is saved, which frees their memory, but makes the file a little larger."""


class UsdExporter(Exporter):
    """Writer of USD files (binary, `.usdc`)."""

    title = "USD"
    needs: tuple[Content, ...] = ("rotations", "mesh")
    units: tuple[Units, ...] = ("m", "cm", "mm")
    ups: tuple[UpAxis, ...] = ("y", "z")
    constant_rate = False
    by_default = False

    def describe(self, options: ExportOptions) -> str:
        """Return one sentence on the content of the file and its readers."""
        return (
            f"One stage with animated meshes of all people, in {options.units} with {options.up} up; read by Houdini, "
            "Maya, Omniverse and Blender."
        )

    def unavailable(self) -> str:
        """Return the remedy if the optional package is missing."""
        if importlib.util.find_spec("pxr") is None:
            return "USD needs the package usd-core, which is not installed: pip install 'selfpose-studio[usd]'."
        return ""

    def notes(self, result: ExportedResult) -> list[str]:
        """Return sentences on absent people and on omitted parts of the surface."""
        return (
            absence_notes(result, self.title, "they are invisible there")
            + surface_notes(result, self.title)
            + terms_notes(result)
        )

    def write(self, result: ExportedResult, stem: Path, options: ExportOptions) -> list[Path]:
        """Write one file."""
        path = stem.with_name(f"{stem.name}.usdc")
        with replacing(path) as temporary, tempfile.TemporaryDirectory() as folder:
            # The library tells formats by the extension, which temporaries beside the file do not have.
            written = Path(folder, path.name)
            _write_stage(written, result, options)
            shutil.copyfile(written, temporary)
        return [path]


def _write_stage(path: Path, result: ExportedResult, options: ExportOptions) -> None:
    from pxr import Kind, Usd, UsdGeom

    motion, rate = result.bodies, frame_rate_hz(result.poses)
    codes = motion.bodies.time_s * rate
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y if options.up == "y" else UsdGeom.Tokens.z)
    UsdGeom.SetStageMetersPerUnit(stage, MM_PER[options.units] / MM_PER["m"])
    stage.SetTimeCodesPerSecond(rate)
    stage.SetFramesPerSecond(rate)
    stage.SetStartTimeCode(float(codes[0]))
    stage.SetEndTimeCode(float(codes[-1]))
    world = UsdGeom.Xform.Define(stage, "/World")
    Usd.ModelAPI(world).SetKind(Kind.Tokens.component)
    stage.SetDefaultPrim(world.GetPrim())
    model = motion.model
    about = {**asdict(result.origin), "body": model.name, "family": model.family, "terms": model.licence}
    world.GetPrim().SetCustomData({f"selfpose:{key}": value for key, value in about.items()})
    people = people_in(motion)
    for index, person in enumerate(people):
        for share in _add_person(stage, motion, person, codes, options):
            result.report((index + share) / len(people))
    stage.GetRootLayer().Save()


def _add_person(stage: Any, motion: BodyMotion, person: int, codes: F64, options: ExportOptions) -> Iterator[float]:
    """Add a person; yield the fraction of frames written."""
    from pxr import UsdGeom, UsdSkel, Vt

    shapes = correctives(motion)
    root = UsdSkel.Root.Define(stage, f"/World/{person_label(motion.bodies.person_ids[person])}")
    place = root.GetPath()
    joints, parents = rest_joints(motion, person, options), motion.model.parents
    paths: list[str] = []
    for name, parent in zip(motion.model.joints, parents, strict=True):
        paths.append(name if parent < 0 else f"{paths[parent]}/{name}")
    offsets = np.concatenate([joints[:1], joints[1:] - joints[parents[1:]]])

    skeleton = UsdSkel.Skeleton.Define(stage, place.AppendChild("Skeleton"))
    skeleton.CreateJointsAttr(paths)
    skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray.FromNumpy(_translations(joints)))
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray.FromNumpy(_translations(offsets)))
    animation = UsdSkel.Animation.Define(stage, place.AppendChild("Animation"))
    animation.CreateJointsAttr(paths)
    animation.CreateScalesAttr(Vt.Vec3hArray.FromNumpy(np.ones((len(paths), 3), np.float16)))
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    mesh = _add_mesh(stage, place.AppendChild("Body"), skeleton.GetPath(), motion, person, options)
    if shapes.names:
        _add_shapes(stage, mesh, shapes, options)
        animation.CreateBlendShapesAttr(shapes.names)
        animation.CreateBlendShapeWeightsAttr()

    here = motion.bodies.present[:, person]
    if not here.all():
        visibility = UsdGeom.Imageable(root).CreateVisibilityAttr()
        for frame in np.flatnonzero(np.diff(here, prepend=~here[:1])):
            shown = UsdGeom.Tokens.inherited if here[frame] else UsdGeom.Tokens.invisible
            visibility.Set(shown, float(codes[frame]))
    translations, rotations = animation.CreateTranslationsAttr(), animation.CreateRotationsAttr()
    frames = np.flatnonzero(here)
    at, last, done, unsaved = offsets.astype(np.float32), None, 0, 0
    times = iter(codes[frames].tolist())
    for block in pose_blocks(motion, person, frames, options):
        yield done / len(frames)
        q = quaternions(block.rotations_rad, last)
        last = q[-1]
        weights = shapes.weights(block.rotations_rad)
        for turned, pelvis, weight in zip(q.astype(np.float32), block.pelvis, weights, strict=True):
            code = next(times)
            at[0] = pelvis
            translations.Set(Vt.Vec3fArray.FromNumpy(at), code)
            rotations.Set(Vt.QuatfArray.FromNumpy(turned), code)
            if len(weight):
                animation.GetBlendShapeWeightsAttr().Set(Vt.FloatArray.FromNumpy(weight), code)
        done, unsaved = done + len(q), unsaved + len(q)
        if unsaved >= _SAVED_FRAMES:
            stage.GetRootLayer().Save()
            unsaved = 0


def _add_shapes(stage: Any, mesh: Any, shapes: Correctives, options: ExportOptions) -> None:
    """Add blend shapes below a mesh, which they displace."""
    from pxr import UsdSkel, Vt

    paths = []
    for name, shape in zip(shapes.names, shapes.shapes_mm, strict=True):
        target = UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(name))
        target.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(shape / np.float32(MM_PER[options.units])))
        paths.append(target.GetPath())
    binding = UsdSkel.BindingAPI(mesh)
    binding.CreateBlendShapesAttr(shapes.names)
    binding.CreateBlendShapeTargetsRel().SetTargets(paths)


def _add_mesh(stage: Any, path: Any, skeleton: Any, motion: BodyMotion, person: int, options: ExportOptions) -> Any:
    """Add the surface of a person in the T pose; return its prim."""
    from pxr import Gf, UsdGeom, UsdSkel, Vt

    model = motion.model
    vertices = motion.rest.vertices_mm[person] / np.float32(MM_PER[options.units])
    mesh = UsdGeom.Mesh.Define(stage, path)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(vertices))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(vertex_normals(vertices, model.faces)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(model.faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(model.faces.ravel().astype(np.int32)))
    mesh.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([vertices.min(0), vertices.max(0)])))
    bones, weights = strongest_bones(model.weights)
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    binding.CreateSkeletonRel().SetTargets([skeleton])
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1))
    binding.CreateJointIndicesPrimvar(False, MAX_BONES).Set(Vt.IntArray.FromNumpy(bones.ravel().astype(np.int32)))
    binding.CreateJointWeightsPrimvar(False, MAX_BONES).Set(Vt.FloatArray.FromNumpy(weights.ravel()))
    return mesh.GetPrim()


def _translations(vectors: F64) -> F64:
    """Return the matrices (J, 4, 4) of translations (J, 3), which USD multiplies from the right."""
    matrices = np.tile(np.eye(4), (len(vectors), 1, 1))
    matrices[:, 3, :3] = vectors
    return matrices


EXPORTER = UsdExporter()
