"""Films: real MP4 files with people where the cameras see them, or none at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from core.errors import CancelledError, CoreError
from core.files import read_json
from core.geometry import project
from core.pipelines.film.film import run_film
from core.pipelines.film.writer import film_writer
from core.pipelines.params import FilmParams
from core.progress import NullReporter, RecordingReporter
from core.rendering.colours import VIEW_COLOURS
from core.session import RunLayout, Session, TakeCamera, TakeManifest, Timeline
from core.session.video import VideoReader
from core.synthetic.people import walkers
from core.synthetic.rigs import ring_rig
from core.types import Pose3DSequence

SIZE_PX, FPS, FRAMES = (256, 192), 20.0, 10


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a session with one grey take of two cameras, and two people."""
    session = Session.create(tmp_path_factory.mktemp("film") / "session")
    rig = ring_rig(2, size_px=SIZE_PX, distortion=(-0.2, 0.05, 0.001, 0.0, 0.0))
    rig.save(session.layout.rig)
    folder = session.layout.take("walk").root
    folder.mkdir(parents=True)
    cameras = []
    for camera in rig:
        with film_writer(folder / f"cam_{camera.name}.mp4", SIZE_PX, FPS) as writer:
            for _ in range(FRAMES):
                writer.add(np.full((SIZE_PX[1], SIZE_PX[0], 3), 120, np.uint8))
        cameras.append(
            TakeCamera(name=camera.name, file=f"cam_{camera.name}.mp4", size_px=SIZE_PX, n_frames=FRAMES, fps=FPS)
        )
    index, times = np.tile(np.arange(FRAMES)[:, None], (1, 2)), np.arange(FRAMES) / FPS
    session.write_take(
        TakeManifest(name="walk", kind="motion", fps=FPS, n_frames=FRAMES, cameras=tuple(cameras)),
        Timeline(cameras=rig.names, time_s=times, frame_index=index, frame_time_s=np.repeat(times[:, None], 2, 1)),
    )
    walkers(2, FRAMES, np.random.default_rng(3), fps=FPS, half_size_mm=900).save(
        session.take("walk").layout.poses3d("baseline")
    )
    return session.root


def films(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def near(image: np.ndarray, colour: str) -> np.ndarray:
    """Return pixels of the hue of a colour, shaded."""
    value = np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)], float)
    pixels = image.astype(float) + 1e-3
    alike = (pixels @ value) / np.linalg.norm(pixels, axis=-1) / np.linalg.norm(value)
    return np.asarray((alike > 0.985) & (np.ptp(image, axis=-1) > 60))


def test_videos_show_the_people_where_the_cameras_see_them(root: Path, tmp_path: Path) -> None:
    session = Session.open(root)
    result = run_film(
        session,
        FilmParams(take="walk", layout="videos", cameras=("cam02",), height_px=384, folder=str(tmp_path), start_s=0.1),
        RunLayout(tmp_path),
        NullReporter(),
    )
    film = Path(result["film"])
    assert films(tmp_path) == [film.name.replace(".mp4", ".export.json"), film.name], "no temporaries"
    assert [file["name"] for file in read_json(Path(result["manifest"]))["files"]] == [film.name]
    poses, camera = Pose3DSequence.load(session.take("walk").layout.poses3d("baseline")), session.require_rig()["cam02"]
    with VideoReader(film) as reader:
        assert (reader.n_frames, reader.fps) == (8, FPS)
        width, height = reader.size_px
        assert (width, height) == (682, 384)
        scale = height / SIZE_PX[1]
        left = (width - SIZE_PX[0] * scale) / 2
        for shown, frame in ((0, 2), (7, 9)):
            image = reader.read(shown)
            for person in range(2):
                coloured = near(image, VIEW_COLOURS["dark"].persons[person])
                hips = [poses.skeleton.index(f"{side}_hip") for side in ("left", "right")]
                x, y = (project(camera, poses.xyz_mm[frame, person, hips].mean(0)) + 0.5) * scale + (left, 0)
                part = coloured[max(int(y) - 4, 0) : int(y) + 5, max(int(x) - 4, 0) : int(x) + 5]
                assert not part.size or part.any(), (shown, person)
                assert coloured.any()


def test_the_view_needs_no_cameras_and_turns_around_the_people(root: Path, tmp_path: Path) -> None:
    session = Session.open(root)
    params = FilmParams(take="walk", layout="view", height_px=180, folder=str(tmp_path), turn_s=1.0, azimuth_deg=0.0)
    with VideoReader(Path(run_film(session, params, RunLayout(tmp_path), NullReporter())["film"])) as reader:
        first, turned = (
            np.nonzero(near(reader.read(k), VIEW_COLOURS["dark"].persons[0]))[1].mean() for k in (0, FRAMES - 1)
        )
        assert reader.size_px == (320, 180)
        assert (first - 160) * (turned - 160) < 0, "after half a turn the person is on the other side"


def test_a_cancelled_film_leaves_the_earlier_one(root: Path, tmp_path: Path) -> None:
    session, params = Session.open(root), FilmParams(take="walk", height_px=180, folder=str(tmp_path), end_s=0.2)
    film = Path(run_film(session, params, RunLayout(tmp_path), NullReporter())["film"])
    before = film.read_bytes()
    with pytest.raises(CancelledError):
        run_film(session, params, RunLayout(tmp_path), RecordingReporter(cancel_after=2))
    assert films(tmp_path) == [film.name] and film.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height_px": 20}, "20 px"),
        ({"start_s": 3.0}, "not in the take"),
        ({"cameras": ("cam09",)}, "cam09"),
        ({"figures": "bodies"}, "does not exist"),
        ({"fps": -1.0}, "frame rate"),
    ],
)
def test_what_cannot_be_filmed_is_said(root: Path, tmp_path: Path, settings: dict[str, object], message: str) -> None:
    params = FilmParams(take="walk", folder=str(tmp_path / "out"), **settings)  # type: ignore[arg-type]
    with pytest.raises(CoreError, match=message):
        run_film(Session.open(root), params, RunLayout(tmp_path), NullReporter())
    assert films(tmp_path / "out") == []


def test_cameras_that_moved_since_are_not_drawn_over(root: Path, tmp_path: Path) -> None:
    session = Session.open(root)
    take = session.take("walk")
    poses = take.poses3d("baseline")
    dataclasses.replace(poses, provenance={**poses.provenance, "rig": "another"}).save(take.layout.poses3d("other"))
    params = FilmParams(take="walk", poses="other", height_px=180, folder=str(tmp_path))
    with pytest.raises(CoreError, match="no longer exists"):
        run_film(session, params, RunLayout(tmp_path), NullReporter())
