"""Videos made of image files return each image unchanged."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import videos

from core.errors import CancelledError, CoreError
from core.progress import NullReporter, RecordingReporter
from core.session.footage.stills import SUFFIX, write_video
from core.session.video import VideoReader


def images(folder: Path, suffix: str, n: int = 7, width: int = videos.BITS * videos.CELL) -> list[Path]:
    paths = [folder / f"p{i}{suffix}" for i in range(n)]
    for i, path in enumerate(paths):
        assert cv2.imwrite(str(path), videos.image(100 + i, width)[..., ::-1])
    return paths


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_images_and_their_times(suffix: str, tmp_path: Path) -> None:
    paths = images(tmp_path, suffix)
    times = [0.0, 0.1, 0.2, 0.3, 0.7, 0.8, 0.9]
    out = tmp_path / f"v{SUFFIX}"
    assert write_video(paths, times, 10.0, out, NullReporter()) == (192, 64)
    with VideoReader(out) as video:
        assert video.n_frames == video.whole_frames() == 7 and video.size_px == (192, 64)
        np.testing.assert_allclose(video.times_s, times, atol=2e-3)
        for i in (6, 0, 3, 4):
            assert videos.number_in(video.read(i)) == 100 + i
        if suffix == ".png":
            np.testing.assert_array_equal(video.read(5), videos.image(105))
        else:
            assert np.abs(video.read(5).astype(int) - videos.image(105)).mean() < 3


def test_mixed_and_unsupported_images_are_refused(tmp_path: Path) -> None:
    out = tmp_path / f"v{SUFFIX}"
    png, jpg = images(tmp_path, ".png", 2), images(tmp_path, ".jpg", 1)
    (tmp_path / "wide").mkdir()
    wide = images(tmp_path / "wide", ".png", 1, 256)
    for other in (jpg[0], wide[0]):
        with pytest.raises(CoreError, match="differs in size or format from p0"):
            write_video([png[0], other], [0.0, 0.1], 10.0, out, NullReporter())
    for content, words in (
        (b"GIF89a", "neither JPEG nor PNG"),
        (b"\x89PNG broken", "damaged or incomplete"),
        (b"", "neither"),
    ):
        (tmp_path / "x.png").write_bytes(content)
        with pytest.raises(CoreError, match=words):
            write_video([tmp_path / "x.png"], [0.0], 10.0, out, NullReporter())


def test_writing_can_be_cancelled(tmp_path: Path) -> None:
    with pytest.raises(CancelledError):
        paths = images(tmp_path, ".png", 2)
        write_video(paths, [0.0, 0.1], 10.0, tmp_path / f"v{SUFFIX}", RecordingReporter(cancel_after=0))
