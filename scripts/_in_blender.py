"""Read exported bodies in Blender, compare their joints with exact ones, write FBX. Started by check_exports.py."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
import numpy as np


def main(folder: Path) -> None:
    """Print the largest error of the joints of each person in GLB, BVH, and FBX made from the GLB."""
    with np.load(folder / "truth.npz") as data:
        names, fps, people = [str(name) for name in data["names"]], float(data["fps"]), data["people"].tolist()
        joints_m = {label: data[label] for label in people}
    scene = bpy.context.scene

    def compare(title: str, label: str, first: int) -> None:
        (armature,) = (o for o in bpy.data.objects if o.type == "ARMATURE" and label in o.name.split("_"))
        errors = []
        for frame, truth in enumerate(joints_m[label]):
            if np.isfinite(truth).all():
                scene.frame_set(first + frame)
                found = [armature.matrix_world @ armature.pose.bones[name].head for name in names]
                errors.append(np.abs(np.array(found) - truth).max() * 1000)
        print(f"{title} {label}: {len(errors)} frames, joints differ by at most {max(errors):.5f} mm")

    def empty() -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        bpy.context.scene.render.fps = round(fps)
        bpy.context.scene.frame_start, bpy.context.scene.frame_end = 0, len(joints_m[people[0]]) - 1

    empty()
    scene = bpy.context.scene
    bpy.ops.import_scene.gltf(filepath=str(folder / "bodies.glb"))
    for label in people:
        compare("GLB", label, 0)
    fbx = str(folder / "bodies.fbx")
    bpy.ops.export_scene.fbx(
        filepath=fbx,
        add_leaf_bones=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        bake_anim_simplify_factor=0,
    )
    empty()
    scene = bpy.context.scene
    bpy.ops.import_scene.fbx(filepath=fbx)
    for label in people:
        compare("FBX", label, 1)
    for label in people:
        empty()
        scene = bpy.context.scene
        bpy.ops.import_anim.bvh(
            filepath=str(folder / f"bodies_{label}.bvh"), global_scale=0.01, axis_forward="-Z", axis_up="Y"
        )
        compare("BVH", label, 2)  # The T pose is frame 1.


main(Path(sys.argv[-1]))
