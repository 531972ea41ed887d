"""Intrinsics for images of another size."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import CoreError
from core.geometry import project
from core.geometry.resize import at_size, resize_note
from core.types import Camera

CAMERA = Camera(
    name="cam01",
    size_px=(1920, 1080),
    K=np.array([[1400.0, 0, 940], [0, 1410, 550], [0, 0, 1]]),
    distortion=np.array([-0.2, 0.05, 0.001, -0.002, 0.0]),
    R=np.eye(3),
    t_mm=np.zeros(3),
)
POINTS = np.random.default_rng(0).uniform([-900, -500, 1500], [900, 500, 4000], (50, 3))


def test_equal_size_changes_nothing() -> None:
    assert at_size(CAMERA, (1920, 1080)) is CAMERA
    assert resize_note(CAMERA, (1920, 1080)) == ""


@pytest.mark.parametrize("size_px", [(1280, 720), (960, 540), (3840, 2160)])
def test_another_resolution_shows_the_same_image(size_px: tuple[int, int]) -> None:
    scale = size_px[0] / 1920
    # The image's corner, half a pixel before the first pixel's centre, stays where it is.
    expected = scale * (project(CAMERA, POINTS) + 0.5) - 0.5
    assert np.allclose(project(at_size(CAMERA, size_px), POINTS), expected, atol=1e-9)
    assert "scaled" in resize_note(CAMERA, size_px)


def test_a_cropped_codec_block_changes_no_projection() -> None:
    camera = CAMERA.replace(size_px=(1920, 1088))
    fitted = at_size(camera, (1920, 1080))
    assert fitted.size_px == (1920, 1080)
    assert np.array_equal(project(fitted, POINTS), project(camera, POINTS))
    assert "cropped" in resize_note(camera, (1920, 1080))


@pytest.mark.parametrize(
    ("size_px", "word"), [((1080, 1920), "rotated"), ((1440, 1080), "calibrat"), ((1936, 1080), "1936")]
)
def test_other_images_are_refused(size_px: tuple[int, int], word: str) -> None:
    with pytest.raises(CoreError, match=word):
        at_size(CAMERA, size_px)
