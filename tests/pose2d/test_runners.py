"""Runners of downloadable models, end to end through onnxruntime on graphs with exact ground truth."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import onnx_graphs as graphs

from core.errors import CoreError
from core.files import resource
from core.pose2d.config import Pose2DConfig
from core.pose2d.estimator import ESTIMATORS, Detections, Estimator
from core.pose2d.estimators.vitpose import subpixel_peaks
from core.types import COCO17

EVEN, ODD = np.arange(0, 17, 2), np.arange(1, 17, 2)


# As wide as the peaks that the networks themselves make: in a wider one, 8 bits cannot say where the top is.
SPREAD_PX = {"rtmpose": 8.0, "vitpose": 22.0, "rtmo": 22.0}


def scene(size: tuple[int, int], box: tuple[int, int, int, int], green: np.ndarray, blue: np.ndarray, spread: float):
    """Return a red rectangle (last row and column included) with a green and a blue Gaussian at sub-pixel positions."""
    width, height = size
    image = np.zeros((height, width, 3))
    image[box[1] : box[3] + 1, box[0] : box[2] + 1, 0] = 230
    y, x = np.mgrid[:height, :width]
    for channel, at in ((1, green), (2, blue)):
        image[..., channel] = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * spread**2))
    return np.rint(image).astype(np.uint8)


SCENES = {
    "portrait": ((540, 960), (130, 210, 349, 769), np.array([201.3, 305.7]), np.array([288.6, 640.2])),
    "landscape": ((1280, 720), (700, 100, 999, 579), np.array([803.25, 222.5]), np.array([930.9, 471.1])),
    "at the border": ((640, 640), (0, 0, 150, 420), np.array([40.4, 60.6]), np.array([99.1, 301.7])),
}


def open_runner(runner: str, folder: Path, **changes: object) -> Estimator:
    files = {"detector": graphs.detector(folder / "detector.onnx")}
    make = {"rtmpose": graphs.simcc, "vitpose": graphs.heatmaps, "rtmo": graphs.one_stage}[runner]
    files["pose"] = make(folder / "pose.onnx")
    config = Pose2DConfig(estimator=runner, provider="cpu", **changes)  # type: ignore[arg-type]
    return ESTIMATORS.get(runner)(runner, files, config, 1)


def check_joints(found: Detections, green: np.ndarray, blue: np.ndarray, tolerance_px: float) -> None:
    assert len(found) == 1
    np.testing.assert_allclose(found.xy_px[0, EVEN], np.tile(green, (9, 1)), atol=tolerance_px)
    np.testing.assert_allclose(found.xy_px[0, ODD], np.tile(blue, (8, 1)), atol=tolerance_px)


@pytest.mark.parametrize("where", SCENES)
@pytest.mark.parametrize("runner", ["rtmpose", "vitpose", "rtmo"])
def test_joints_are_found_at_the_pixel_where_they_were_drawn(runner: str, where: str, tmp_path: Path) -> None:
    size, box, green, blue = SCENES[where]
    found = open_runner(runner, tmp_path).estimate([scene(size, box, green, blue, SPREAD_PX[runner])])[0]
    # A tenth of a network pixel, in image pixels: what interpolation and 8-bit rounding leave.
    per_network_px = (
        max(size) / 640 if runner == "rtmo" else max(box[2] - box[0], (box[3] - box[1]) * 0.75) * 1.25 / 192
    )
    check_joints(found, green, blue, 0.1 * per_network_px + 0.05)
    edges = np.array([box[0] - 0.5, box[1] - 0.5, box[2] + 0.5, box[3] + 0.5])
    np.testing.assert_allclose(found.box_px[0], edges, atol=max(size) / 640)


@pytest.mark.parametrize("runner", ["rtmpose", "vitpose", "rtmo"])
def test_heatmaps_of_every_runner_peak_at_the_joints(runner: str, tmp_path: Path) -> None:
    size, box, green, blue = SCENES["portrait"]
    found = open_runner(runner, tmp_path, long_side_px=512).estimate([scene(size, box, green, blue, 22.0)])[0]
    assert found.heatmaps is not None
    assert found.heatmaps.values.shape == (17, 128, 72)
    cells, height = subpixel_peaks(found.heatmaps.values[None].astype(np.float64))
    at = found.heatmaps.grid.inverse(cells[0])
    np.testing.assert_allclose(at[EVEN], np.tile(green, (9, 1)), atol=1.0)  # a quarter of a cell
    np.testing.assert_allclose(at[ODD], np.tile(blue, (8, 1)), atol=1.0)
    expected = 0.75 if runner == "rtmo" else 1.0
    # Where a joint lies between cells, its highest cell is lower than the peak.
    np.testing.assert_allclose(height, expected, atol=0.08)
    assert not open_runner(runner, tmp_path, heatmaps=False).estimate([np.zeros((64, 64, 3), np.uint8)])[0].heatmaps


@pytest.mark.parametrize("runner", ["rtmpose", "vitpose"])
def test_an_empty_image_has_no_people(runner: str, tmp_path: Path) -> None:
    graph = graphs.detector(tmp_path / "weak.onnx", score=0.1)
    pose = (graphs.simcc if runner == "rtmpose" else graphs.heatmaps)(tmp_path / "pose.onnx")
    estimator = ESTIMATORS.get(runner)("x", {"detector": graph, "pose": pose}, Pose2DConfig(provider="cpu"), 1)
    found = estimator.estimate([np.zeros((100, 200, 3), np.uint8)])[0]
    assert len(found) == 0
    assert found.xy_px.shape == (0, len(COCO17), 2)
    assert found.heatmaps is not None
    assert found.heatmaps.values.max() == 0


@pytest.mark.parametrize("runner", list(ESTIMATORS))
def test_contract_of_every_runner(runner: str, tmp_path: Path) -> None:
    if runner == "movenet":
        files = {"pose": resource("weights", "movenet_multipose.onnx")}
        estimator = ESTIMATORS.get(runner)("card", files, Pose2DConfig(provider="cpu", long_side_px=256), 1)
    else:
        estimator = open_runner(runner, tmp_path, long_side_px=256)
    assert estimator.skeleton is COCO17
    assert (estimator.provider.name, estimator.provider.is_cpu) == ("cpu", True)
    assert estimator.provider.concurrency >= 1
    assert estimator.batch >= 1
    size, box, green, blue = SCENES["portrait"]
    images = [scene(size, box, green, blue, 22.0), np.zeros((70, 130, 3), np.uint8)]
    assert estimator.estimate([]) == []
    for image, found in zip(images, estimator.estimate(images), strict=True):
        people = len(found)
        assert found.xy_px.shape == (people, 17, 2)
        assert found.score.shape == (people, 17)
        assert found.box_px.shape == (people, 4)
        assert all(a.dtype == np.float32 for a in (found.xy_px, found.score, found.box_px, found.person_score))
        assert ((found.score > 0) == np.isfinite(found.xy_px).all(-1)).all()
        assert found.heatmaps is not None
        assert found.heatmaps.values.dtype == np.float32
        # The heatmaps cover the image: its far corner is their far corner, to a cell of padding per side.
        far = found.heatmaps.grid.forward(np.array([image.shape[1] - 0.5, image.shape[0] - 0.5]))
        cells = np.array(found.heatmaps.values.shape[:0:-1])
        assert (far < cells + 0.6).all()
        assert max(far) > max(cells) - 9


@pytest.mark.parametrize("field", ["long_side_px", "person_threshold", "joint_threshold", "max_people"])
def test_settings_out_of_range_are_refused(field: str) -> None:
    with pytest.raises(CoreError, match=field):
        Pose2DConfig(**{field: -1})  # type: ignore[arg-type]


def test_a_network_with_a_fixed_batch_size_gets_the_crops_one_by_one(tmp_path: Path) -> None:
    size, box, green, blue = SCENES["landscape"]
    files = {
        "detector": graphs.detector(tmp_path / "d.onnx"),
        "pose": graphs.simcc(tmp_path / "p.onnx", batch=1),
    }
    estimator = ESTIMATORS.get("rtmpose")("x", files, Pose2DConfig(provider="cpu"), 1)
    check_joints(estimator.estimate([scene(size, box, green, blue, SPREAD_PX["rtmpose"])])[0], green, blue, 0.3)


def test_the_thresholds_are_those_of_the_settings(tmp_path: Path) -> None:
    size, box, green, blue = SCENES["portrait"]
    image = scene(size, box, green, blue, 22.0)
    pose = graphs.one_stage(tmp_path / "p.onnx", score=0.4, visible=0.3)

    def people(**changes: object) -> Detections:
        config = Pose2DConfig(provider="cpu", **changes)  # type: ignore[arg-type]
        return ESTIMATORS.get("rtmo")("x", {"pose": pose}, config, 1).estimate([image])[0]

    assert len(people(person_threshold=0.41)) == 0
    weak = people(person_threshold=0.39, joint_threshold=0.31)
    assert len(weak) == 1
    assert np.isnan(weak.xy_px).all()
    assert (weak.score == 0).all()
    assert (people(joint_threshold=0.29).score > 0).all()


def test_another_model_is_refused(tmp_path: Path) -> None:
    simcc = graphs.simcc(tmp_path / "simcc.onnx")
    with pytest.raises(CoreError, match="not the expected model") as caught:
        ESTIMATORS.get("rtmo")("x", {"pose": simcc}, Pose2DConfig(provider="cpu"), 1)
    assert "card" in caught.value.hint
    nonsense = tmp_path / "nonsense.onnx"
    nonsense.write_bytes(b"PK\x03\x04 not a model")
    with pytest.raises(CoreError, match="not a valid ONNX model"):
        ESTIMATORS.get("movenet")("x", {"pose": nonsense}, Pose2DConfig(provider="cpu"), 1)
    with pytest.raises(CoreError, match="does not exist"):
        ESTIMATORS.get("movenet")("x", {"pose": tmp_path / "none.onnx"}, Pose2DConfig(provider="cpu"), 1)


def test_an_unavailable_provider_is_an_error(tmp_path: Path) -> None:
    pose = graphs.one_stage(tmp_path / "p.onnx")
    with pytest.raises(CoreError, match="DirectML") as caught:
        ESTIMATORS.get("rtmo")("x", {"pose": pose}, Pose2DConfig(provider="directml"), 1)
    assert "onnxruntime-directml" in caught.value.hint
    with pytest.raises(CoreError, match="Unknown provider 'gpu'"):
        ESTIMATORS.get("rtmo")("x", {"pose": pose}, Pose2DConfig(provider="gpu"), 1)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_gpu_that_does_not_work_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime lists CUDA but cannot start it, as with a missing library."""
    pose = {"pose": graphs.one_stage(tmp_path / "p.onnx")}
    listed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: listed)
    estimator = ESTIMATORS.get("rtmo")("x", pose, Pose2DConfig(), 1)
    assert estimator.provider.name == "cpu"
    assert "the NVIDIA GPU (CUDA) was found but could not be used" in estimator.provider.description
    with pytest.raises(CoreError, match="could not be used") as caught:
        ESTIMATORS.get("rtmo")("x", pose, Pose2DConfig(provider="cuda"), 1)
    assert "driver" in caught.value.hint


@pytest.mark.skipif(os.name == "nt", reason="makes a POSIX program")
def test_an_unused_nvidia_gpu_is_mentioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    pose = {"pose": graphs.one_stage(tmp_path / "p.onnx")}
    words = ESTIMATORS.get("rtmo")("x", pose, Pose2DConfig(provider="cpu"), 1).provider.description
    assert "onnxruntime-gpu" in words


@pytest.mark.parametrize("at", [(10.0, 20.0), (10.3, 20.4), (30.49, 40.51), (0.0, 63.0)])
def test_subpixel_peaks_of_gaussians_are_exact(at: tuple[float, float]) -> None:
    y, x = np.mgrid[:64, :48]
    heat = 0.8 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 2.0**2))
    cells, height = subpixel_peaks(heat[None, None])
    # At a border the smoothing sees half a peak, which is why only the inside is exact.
    inside = 6 < at[0] < 41 and 6 < at[1] < 57
    np.testing.assert_allclose(cells[0, 0], at, atol=2e-3 if inside else 0.6)
    assert 0.75 < height[0, 0] <= 0.8
