"""Stored heatmaps, exact up to quantisation; chunks; resizing and cropping without a shift."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from core.errors import CoreError
from core.pose2d.chunks import Chunk, assemble_heatmaps, assemble_poses, pack_heatmaps
from core.pose2d.draw_heatmaps import draw_heatmaps, heatmap_grid
from core.pose2d.estimator import Detections, Heatmaps
from core.pose2d.heatmaps import MIN_VALUE, HeatmapFile, compress_heatmaps, write_heatmaps
from core.pose2d.pixelmap import PixelMap, crop_box, letterbox, resize_image
from core.types import COCO17

GRID = PixelMap((0.066, 0.067), (-0.4, -0.35))
SHAPE = (24, 16)


def maps(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, 17, *SHAPE)).astype(np.float32) ** 8


def stored(path: Path, values: dict[int, np.ndarray], n_frames: int) -> Path:
    frames = ((t, compress_heatmaps(v)) for t, v in values.items())
    write_heatmaps(path, frames, n_frames=n_frames, shape=SHAPE, grid=GRID, joints=COCO17)
    return path


def test_heatmaps_are_read_back_within_half_a_quantisation_step(tmp_path: Path) -> None:
    values = maps(5)
    with HeatmapFile(stored(tmp_path / "a.h5", dict(enumerate(values)), 7)) as reader:
        assert (reader.n_frames, reader.shape, reader.skeleton.name) == (7, SHAPE, "coco17")
        read = reader.read([3, 0, 3, 6])
        assert read.dtype == np.float32
        expected = np.where(values < MIN_VALUE, 0, values)[[3, 0, 3]]
        np.testing.assert_allclose(read[:3], expected, atol=0.5 / 255 + 1e-6)
        assert read[3].max() == 0  # a frame without an image
        assert reader.read([]).shape == (0, 17, *SHAPE)
        np.testing.assert_array_equal(reader.scale, GRID.scale)
        np.testing.assert_array_equal(reader.offset, GRID.offset)
        assert reader.grid == GRID


def test_values_above_one_are_clipped(tmp_path: Path) -> None:
    values = np.full((17, *SHAPE), 1.7, np.float32)
    with HeatmapFile(stored(tmp_path / "a.h5", {0: values}, 1)) as reader:
        assert (reader.read([0]) == 1).all()


def test_other_programs_can_read_the_file(tmp_path: Path) -> None:
    values = maps(2)
    with h5py.File(stored(tmp_path / "a.h5", dict(enumerate(values)), 2)) as file:
        assert file["heatmaps"].compression == "gzip"
        np.testing.assert_allclose(
            file["heatmaps"][:] / 255, np.where(values < MIN_VALUE, 0, values), atol=0.5 / 255 + 1e-6
        )


def test_files_other_than_heatmaps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="does not exist"):
        HeatmapFile(tmp_path / "none.h5")
    (tmp_path / "bad.h5").write_bytes(b"not hdf5")
    with pytest.raises(CoreError, match="is not a heatmap file"):
        HeatmapFile(tmp_path / "bad.h5")
    good = stored(tmp_path / "cut.h5", {0: maps(1)[0]}, 1)
    good.write_bytes(good.read_bytes()[:300])
    with pytest.raises(CoreError, match="is not a heatmap file"):
        HeatmapFile(good)
    newer = stored(tmp_path / "newer.h5", {0: maps(1)[0]}, 1)
    with h5py.File(newer, "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(CoreError, match="newer version"):
        HeatmapFile(newer)


def detections(people: int, seed: int, *, with_maps: bool = True) -> Detections:
    rng = np.random.default_rng(seed)
    return Detections(
        xy_px=rng.random((people, 17, 2)).astype(np.float32) * 500,
        score=rng.random((people, 17)).astype(np.float32),
        box_px=rng.random((people, 4)).astype(np.float32),
        person_score=rng.random(people).astype(np.float32),
        heatmaps=Heatmaps(values=maps(1, seed)[0], grid=GRID) if with_maps else None,
    )


def test_chunks_are_assembled_to_the_poses_of_their_detections(tmp_path: Path) -> None:
    found = {0: detections(2, 1), 1: detections(0, 2), 4: detections(3, 3), 5: detections(1, 4)}
    paths = []
    for start, frames in ((0, [0, 1]), (3, [4, 5]), (6, [])):
        chunk = Chunk.of([(t, found[t], pack_heatmaps(found[t])) for t in frames], 17)
        paths.append(tmp_path / f"{start}.npz")
        chunk.save(paths[-1])
    chunks = [Chunk.load(p) for p in paths]
    poses = assemble_poses("cam", COCO17, chunks, 8)
    assert poses.xy_px.shape == (8, 3, 17, 2)
    np.testing.assert_array_equal(poses.present.sum(1), [2, 0, 0, 0, 3, 1, 0, 0])
    for t, each in found.items():
        np.testing.assert_array_equal(poses.xy_px[t, : len(each)], each.xy_px)
        np.testing.assert_array_equal(poses.score[t, : len(each)], each.score)
        np.testing.assert_array_equal(poses.box_px[t, : len(each)], each.box_px)
        assert np.isnan(poses.xy_px[t, len(each) :]).all()
    outline = [Chunk.load(p, with_heatmaps=False) for p in paths]
    assert not any(p.heatmaps for p in outline)
    assemble_heatmaps(tmp_path / "a.h5", COCO17, iter(chunks), outline, 8)
    with HeatmapFile(tmp_path / "a.h5") as reader:
        np.testing.assert_allclose(reader.read([4])[0], maps(1, 3)[0], atol=MIN_VALUE)
        assert reader.read([2]).max() == 0


def test_a_damaged_chunk_is_refused(tmp_path: Path) -> None:
    chunk = Chunk.of([(0, detections(1, 1), b"")], 17)
    chunk.save(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    with pytest.raises(CoreError, match="damaged"):
        Chunk.load(tmp_path / "a.npz")


def gradient(width: int, height: int) -> np.ndarray:
    """Return an image whose red is linear in x and whose green is linear in y."""
    y, x = np.mgrid[:height, :width]
    return np.stack([255 * x / (width - 1), 255 * y / (height - 1), 0 * x], -1).round().astype(np.uint8)


@pytest.mark.parametrize("size", [(512, 288), (480, 270), (331, 187), (96, 54), (2000, 1125)])
def test_resizing_does_not_shift_the_image(size: tuple[int, int]) -> None:
    source, at = (960, 540), np.array([401.3, 222.8])
    y, x = np.mgrid[: source[1], : source[0]]
    blob = 250 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 40.0**2))
    small = resize_image(np.repeat(blob.round().astype(np.uint8)[..., None], 3, -1), size)[..., 0].astype(float)
    y, x = np.mgrid[: size[1], : size[0]]
    centre = np.array([(small * x).sum(), (small * y).sum()]) / small.sum()
    # A convention off by half a pixel would miss by (1 - scale) / 2 of the coarser grid's pixels: 0.2 px and more.
    np.testing.assert_allclose(PixelMap.for_resize(source, size).inverse(centre), at, atol=0.1)


@pytest.mark.parametrize("centred", [False, True])
def test_letterbox_keeps_the_whole_image_and_its_aspect_ratio(centred: bool) -> None:
    framed, to_frame = letterbox(np.full((540, 960, 3), 200, np.uint8), (640, 640), fill=114, centred=centred)
    assert framed.shape == (640, 640, 3)
    corners = to_frame.forward(np.array([[-0.5, -0.5], [959.5, 539.5]]))
    top = 140 if centred else 0
    np.testing.assert_allclose(corners, [[-0.5, top - 0.5], [639.5, top + 359.5]], atol=1e-9)
    assert (framed[top : top + 360] == 200).all()
    assert (framed == 114).sum() == 280 * 640 * 3


def test_a_crop_holds_the_padded_box_and_agrees_with_its_map() -> None:
    image = gradient(960, 540)
    crop, to_crop = crop_box(image, np.array([400.0, 100.0, 500.0, 400.0]), (192, 256), padding=1.25)
    np.testing.assert_allclose(to_crop.forward(np.array([450.0, 250.0])), [95.5, 127.5])
    height = to_crop.inverse(np.array([0.0, 255.5]))[1] - to_crop.inverse(np.array([0.0, -0.5]))[1]
    assert height == pytest.approx(300 * 1.25)
    x = to_crop.inverse(np.array([100.0, 60.0]))[0]
    assert crop[60, 100, 0] == pytest.approx(255 * x / 959, abs=1.0)
    outside, _ = crop_box(image, np.array([-50.0, -50.0, 10.0, 10.0]), (192, 256), padding=1.25)
    assert (outside[0, 0] == 0).all()


def test_maps_compose_and_invert() -> None:
    one, two = PixelMap((0.5, 0.25), (3.0, -1.0)), PixelMap((4.0, 8.0), (0.5, 0.25))
    points = np.random.default_rng(0).random((5, 2)) * 100
    np.testing.assert_allclose(one.then(two).forward(points), two.forward(one.forward(points)))
    np.testing.assert_allclose(one.inverse(one.forward(points)), points)


def test_drawn_heatmaps_are_gaussians_with_the_scores_as_heights() -> None:
    grid, shape = heatmap_grid((1088, 1920), 512)
    assert shape == (128, 73)
    xy_px = np.full((2, 17, 2), np.nan)
    xy_px[0, 3], xy_px[1, 3], xy_px[1, 5] = [300, 700], [800, 700], [500, 1000]
    score = np.where(np.isfinite(xy_px).all(-1), [[0.9], [0.6]], 0)
    box_px = np.array([[0, 0, 500, 1500], [0, 0, 500, 1500]], float)
    found = draw_heatmaps(xy_px, score, box_px, grid, shape)
    assert found.values.shape == (17, *shape)
    x, y = np.rint(grid.forward(np.array([300.0, 700.0]))).astype(int)
    assert found.values[3, y, x] == pytest.approx(0.9, abs=0.06)
    x, y = np.rint(grid.forward(np.array([800.0, 700.0]))).astype(int)
    assert found.values[3, y, x] == pytest.approx(0.6, abs=0.05)
    assert found.values[4].max() == 0
    assert draw_heatmaps(xy_px[:0], score[:0], box_px[:0], grid, shape).values.max() == 0
