"""The distortion model of a lens is chosen by images that its fit has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from core.board.observations import BoardObservations
from core.board.pattern import Board
from core.calibration.board.config import CalibrateConfig
from core.calibration.board.initial.lens import fit_either_lens
from core.calibration.board.setup import make_setup
from core.synthetic.board_scene import closeups
from core.types import CameraRig
from core.types.camera import Camera, DistortionModel

pytestmark = pytest.mark.slow
BOARD = Board(columns=7, rows=5, square_mm=140, marker_mm=100, back="none")
LENSES: dict[str, tuple[DistortionModel, float, tuple[float, ...]]] = {
    "fisheye": ("fisheye", 380.0, (0.04, -0.01, 0.003, -0.0005)),
    "wide": ("pinhole", 520.0, (-0.25, 0.06, 0.0, 0.0, 0.0)),
    "plain": ("pinhole", 900.0, (0.0, 0.0, 0.0, 0.0, 0.0)),
}


def filmed(lens: str) -> BoardObservations:
    """Observe a board by a camera with a lens, with 0.3 px of noise."""
    model, focal, distortion = LENSES[lens]
    K = np.array([[focal, 0, 639.5], [0, focal, 359.5], [0, 0, 1]])
    camera = Camera(
        name="cam1",
        size_px=(1280, 720),
        K=K,
        distortion=np.array(distortion),
        distortion_model=model,
        R=np.eye(3),
        t_mm=np.zeros(3),
    )
    return closeups(CameraRig(cameras=(camera,)), BOARD, seed=2, images=40)


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("usual", ["pinhole", "fisheye"])
def test_the_model_that_predicts_left_out_images_is_taken(lens: str, usual: DistortionModel) -> None:
    fit, note = fit_either_lens(filmed(lens), "cam1", usual)
    model, focal, _ = LENSES[lens]
    assert fit is not None and fit.camera.K[0, 0] == pytest.approx(focal, rel=0.02)
    if lens == "fisheye":
        assert fit.camera.distortion_model == "fisheye"
        assert ("held-out images" in note) == (usual == "pinhole")
    if usual == model:
        assert fit.camera.distortion_model == model and not note


def test_too_few_images_for_either_model() -> None:
    seen = filmed("plain")
    assert fit_either_lens(seen.where(seen.frame < 3), "cam1") == (None, "")


@pytest.mark.parametrize(("lens", "warned"), [("fisheye", True), ("wide", False)])
def test_a_lens_that_the_chosen_model_does_not_fit_is_named(lens: str, warned: bool) -> None:
    setup, fits, _ = make_setup(filmed(lens), CalibrateConfig(distortion_model="pinhole"), {}, ())
    assert fits["cam1"].camera.distortion_model == "pinhole"  # as the user chose
    assert list(setup.lens_warnings) == ["cam1"] * warned
    assert all("not pinhole: the fisheye model predicts" in text for text in setup.lens_warnings.values())
