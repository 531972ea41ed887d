"""Export bodies whose exact joints are known, and compare them with the joints that Blender reads from the files.

The bodies are those of the demo room, one of whom is absent for some time. Blender can be the program, or a Python with
the package bpy. Blender creates FBX from the GLB.

python scripts/check_exports.py --blender /path/to/blender
python -m venv /tmp/bpy && /tmp/bpy/bin/pip install bpy && python scripts/check_exports.py --blender /tmp/bpy/bin/python
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from _environment import run_script

_FPS, _FRAMES, _AWAY = 30.0, 60, slice(20, 26)


def check(args: argparse.Namespace) -> None:
    """Write the files and start Blender on them."""
    import numpy as np

    from core.body.sequence import BodyMotion
    from core.export import EXPORTERS, ExportedResult, Origin, resolve_options, write_result
    from core.geometry.so3 import log
    from core.synthetic.rendering.scene import room_walk
    from core.types import BodySequence

    walk, time_s = room_walk(), np.arange(_FRAMES) / _FPS
    rotations, pelvis = walk.poses(time_s)
    rotations_rad = log(rotations)
    rotations_rad[_AWAY, 1], pelvis[_AWAY, 1] = np.nan, np.nan
    bodies = BodySequence(
        model=walk.model.name,
        joints=walk.model.joints,
        time_s=time_s,
        person_ids=(1, 2),
        betas=np.stack([walker.betas for walker in walk.walkers]),
        rotations_rad=rotations_rad,
        pelvis_mm=pelvis,
    )
    motion = BodyMotion.of(walk.model, bodies)
    origin = Origin(take="room", poses="exact", rig="demo", version="check_exports")
    result = ExportedResult(poses=walk.sequence(time_s), origin=origin, motion=motion)
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        for name in ("glb", "bvh"):
            write_result(name, result, folder / "bodies", resolve_options(EXPORTERS.get(name)))
        people = {f"P{i}": motion.joints_mm(p, slice(0, _FRAMES)) / 1000 for p, i in enumerate(bodies.person_ids)}
        np.savez(folder / "truth.npz", names=walk.model.joints, fps=_FPS, people=list(people), **people)
        script = str(Path(__file__).with_name("_in_blender.py"))
        python = "python" in Path(args.blender).name
        command = [script] if python else ["--background", "--python", script, "--"]
        subprocess.run([args.blender, *command, str(folder)], check=True)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blender", default="blender", help="Blender, or a Python with bpy")
    parser.add_argument("--folder", type=Path, help="folder to keep the files in")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(run_script(__file__, arguments, check))
