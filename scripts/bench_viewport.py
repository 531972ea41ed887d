"""Measure rendering of the 3D view: ten people, eight cameras with live images, at 1280x720.

Everything changes in every frame: the people walk, and each camera has a new image. CPU time covers all threads of the
process, so with software OpenGL it includes rasterisation. The cost of a layer is the time saved without it. The unit
of the ratios is the empty view of the same window in the same run. Variants alternate, and the minimum over the rounds
is printed, because other programs only add to it.

    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s "-screen 0 1920x1080x24" python scripts/bench_viewport.py
    python scripts/bench_viewport.py --people 4 --image /tmp/view.png
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from _environment import run_script

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from core.types.arrays import U8
    from studio.viewport.canvas import Viewport
    from studio.viewport.scene import SceneLayers
    from studio.viewport.scene_data import SceneData

SIZE_PX = (1280, 720)
_FPS = 30.0
_IMAGE_PX = (640, 360)
_WARM_UP = 5


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--frames", type=int, default=20, help="number of frames per variant and round (default 20)")
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds over all variants (default 5)")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--only", nargs="*", help="measure these variants only, such as everything or bodies")
    parser.add_argument("--image", type=Path, help="write the last image of everything to this file")
    return parser.parse_args()


def bench(args: argparse.Namespace) -> None:
    """Print a table of the layers."""
    from PySide6.QtWidgets import QApplication

    from studio.theme import apply_theme
    from studio.viewport.canvas import Viewport
    from studio.viewport.gl import gl_support

    app = QApplication([])
    apply_theme(app, args.theme)
    view = Viewport()
    view.resize(*SIZE_PX)
    view.show()
    if not view.has_gl:
        raise SystemExit(f"{gl_support().problem} There is nothing to measure.")
    data, images = _scene(args.people, args.cameras), _images(args.cameras)
    names = [*_layers(data, images, args.theme, 0).layers]
    variants = {"everything": set(names), "nothing": set()}
    variants |= {f"without {name}": set(names) - {name} for name in names}
    variants = {
        name: kept for name, kept in variants.items() if not args.only or {name, "nothing"} & {*args.only, name}
    }
    print(f"{gl_support().renderer}; {args.people} people, {args.cameras} cameras, {SIZE_PX[0]}x{SIZE_PX[1]}")
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in variants}
    clock = iter(range(1_000_000))
    for _ in range(args.rounds):
        for name, kept in variants.items():
            scenes = (_layers(data, images, args.theme, next(clock), kept) for _ in iter(int, 1))
            spent[name].append(_measure(app, view, scenes, args.frames))
    least = {name: [min(column) for column in zip(*each, strict=True)] for name, each in spent.items()}
    empty = least["nothing"][0]
    print(f"{'':32}{'CPU ms':>8}{'fps':>7}{'ratio':>7}")
    for name in ("everything", "nothing"):
        cpu, wall = least[name]
        print(f"{name:32}{cpu:8.1f}{1000 / wall:7.1f}{cpu / empty:7.2f}")
    for name in names:
        saved = least["everything"][0] - least[f"without {name}"][0]
        print(f"  {name:30}{saved:8.1f}{'':7}{saved / empty:7.2f}")
    if args.image:
        _write_image(app, view, _layers(data, images, args.theme, next(clock)), args.image)
    view.close_canvas()


def _scene(n_people: int, n_cameras: int) -> SceneData:
    """Return people who walk on small circles in a ring of cameras."""
    import numpy as np
    from scipy.spatial.transform import Rotation

    from core.body.models.free import free_body
    from core.body.sequence import BodyMotion
    from core.synthetic.rigs import ring_rig
    from core.synthetic.walking import Walker, WalkingPeople
    from core.types import BodySequence
    from studio.viewport.scene_data import SceneData

    rng, model = np.random.default_rng(0), free_body()
    walkers = tuple(
        Walker(
            betas=tuple(rng.normal(0, 0.8, 10)),
            axes_mm=(900.0, 700.0),
            loops=6 if p % 2 else -6,
            phase=p / n_people,
            gestures=(("wave", "right", 0.0, 60.0),) if p % 3 == 0 else (),
            sole_mm=0.0,
        )
        for p in range(n_people)
    )
    walking, time_s = WalkingPeople(model, walkers), np.arange(0, 20, 1 / _FPS)
    place = np.array([(p % 4 * 1500.0 - 2250.0, p // 4 * 1800.0 - 1800.0, 0.0) for p in range(n_people)])
    poses = walking.sequence(time_s)
    poses = replace(poses, xyz_mm=poses.xyz_mm + place[:, None])
    rotations, pelvis = walking.poses(time_s)
    bodies = BodySequence(
        model=model.name,
        joints=model.joints,
        time_s=time_s,
        person_ids=poses.person_ids,
        betas=np.array([walker.betas for walker in walkers]),
        rotations_rad=Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_rotvec().reshape(rotations.shape[:-1]),
        pelvis_mm=pelvis + place,
    )
    return SceneData.build(ring_rig(n_cameras), poses, bodies=BodyMotion.of(model, bodies))


def _images(n_cameras: int) -> list[list[U8]]:
    """Return three different images of each camera, as a decoder returns them."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(1)
    width, height = _IMAGE_PX
    coarse = rng.integers(0, 255, (n_cameras, 3, 9, 16, 3), np.uint8)
    return [[cv2.resize(image, (width, height)) for image in camera] for camera in coarse]


def _layers(
    data: SceneData, images: list[list[U8]], theme: str, frame: int, kept: set[str] | None = None
) -> SceneLayers:
    from studio.theme import THEMES
    from studio.viewport.layers.spec import ViewOptions
    from studio.viewport.palette import palette
    from studio.viewport.scene import build_scene_layers

    shown = {name: images[v][frame % 3] for v, name in enumerate(data.cameras)}
    time_s = (frame % 590) / _FPS
    colours = _PALETTES.setdefault(theme, palette(THEMES[theme]))  # type: ignore[index]
    scene = build_scene_layers(data, time_s, ViewOptions(), colours, shown)
    return scene if kept is None else replace(scene, layers={n: x for n, x in scene.layers.items() if n in kept})


_PALETTES: dict[str, object] = {}


def _measure(app: QApplication, view: Viewport, scenes: Iterator[SceneLayers], frames: int) -> tuple[float, float]:
    """Return CPU and wall time of a frame in ms."""
    draw = _drawer(app, view, scenes)
    for _ in range(_WARM_UP):
        draw()
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(frames):
        draw()
    return 1000 * (time.process_time() - cpu) / frames, 1000 * (time.perf_counter() - wall) / frames


def _drawer(app: QApplication, view: Viewport, scenes: Iterator[SceneLayers]) -> Callable[[], None]:
    """Return a function that draws the next scene and returns once it is on the screen."""
    drawn: list[bool] = []
    view._canvas.events.draw.connect(lambda _: drawn.append(True), position="last")
    view.set_scene_source(lambda: next(scenes))

    def draw() -> None:
        drawn.clear()
        view.invalidate()
        view._tick()
        while not drawn:
            app.processEvents()

    return draw


def _write_image(app: QApplication, view: Viewport, scene: SceneLayers, path: Path) -> None:
    import cv2

    view.set_scene_source(lambda: scene)
    app.processEvents()
    image = view.grab_image()
    if image is None or not cv2.imwrite(str(path), image[..., ::-1]):
        raise SystemExit(f"{path} could not be written.")


if __name__ == "__main__":
    # More threads of numpy would compete with rendering for the two cores. Read at the first import of numpy.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(run_script(__file__, arguments, bench))
