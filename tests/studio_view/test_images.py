"""Background decoding: exact images, latest request first, error messages, threads that end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numbered_take import N_FRAMES, SIZE_PX, number_in, numbered

from core.session import Session
from studio.widgets.images.image_decoder import ImageCache, ImageDecoder, ImageReply, ImageRequest


@pytest.fixture
def video(numbered_root: Path) -> Path:
    take = Session.open(numbered_root).take("walk")
    return take.video_path("cam01")


def ask(source: ImageDecoder, index: int, size_px: tuple[int, int] = (160, 96)) -> ImageReply:
    source.request(ImageRequest(frame=index + 100, index=index, size_px=size_px))
    for _ in range(4000):
        if (reply := source.take_reply()) is not None:
            return reply
        time.sleep(0.005)
    raise AssertionError("no reply")


@pytest.mark.slow
@pytest.mark.parametrize("order", [range(10), [40, 3, 41, 0, 47, 46, 45], [5, 5, 6]])
def test_images_are_exact_in_any_order(video: Path, order: list[int]) -> None:
    source = ImageDecoder(video)
    for index in order:
        reply = ask(source, index)
        assert reply.image is not None
        assert number_in(reply.image) == index
        assert reply.frame == index + 100
        assert reply.image.shape == (96, 160, 3)
    source.stop()
    source.join()


def test_images_are_decoded_ahead_until_the_memory_is_full(video: Path) -> None:
    short, long = ImageDecoder(video), ImageDecoder(video, cache_bytes=20_000)
    for source in (short, long):
        assert ask(source, 20).image is not None
    for _ in range(4000):
        if short.cached == N_FRAMES:
            break
        time.sleep(0.005)
    assert short.cached == N_FRAMES
    assert 1 < long.cached < N_FRAMES
    for index in (3, 47, 0, 30):
        for source in (short, long):
            image = ask(source, index).image
            assert image is not None and number_in(image) == index
    for source in (short, long):
        source.stop()
        source.join()


def test_images_are_never_scaled_up(video: Path) -> None:
    source = ImageDecoder(video)
    image = ask(source, 7, (2000, 2000)).image
    source.stop()
    source.join()
    assert image is not None
    assert image.shape == (SIZE_PX[1], SIZE_PX[0], 3)
    assert np.abs(image.astype(int) - numbered(7)).mean() < 6


@pytest.mark.parametrize("rotation_deg", [90, 180, 270])
def test_small_images_of_rotated_cameras_are_upright(video: Path, rotation_deg: int) -> None:
    size_px = (96, 160) if rotation_deg % 180 else (160, 96)
    source = ImageDecoder(video, rotation_deg)
    image = ask(source, 21, size_px).image
    source.stop()
    source.join()
    assert image is not None
    assert image.shape == (size_px[1], size_px[0], 3)
    assert number_in(np.rot90(image, rotation_deg // 90)) == 21


def test_the_latest_of_many_requests_is_answered(video: Path) -> None:
    source = ImageDecoder(video)
    for index in range(40):
        source.request(ImageRequest(frame=index, index=index, size_px=(160, 96)))
    answered = []
    for _ in range(4000):
        if (reply := source.take_reply()) is not None:
            answered.append(reply.frame)
        if not source.waiting:
            break
        time.sleep(0.005)
    source.stop()
    source.join()
    assert answered[-1] == 39
    assert len(answered) < 10


def test_a_missing_video_gives_an_error_message(tmp_path: Path) -> None:
    source = ImageDecoder(tmp_path / "cam_gone.mp4")
    reply = ask(source, 0)
    source.stop()
    source.join()
    assert reply.image is None
    assert "cam_gone.mp4 does not exist" in reply.problem


def test_an_image_beyond_the_end_gives_an_error_message(video: Path) -> None:
    source = ImageDecoder(video)
    reply = ask(source, 999)
    assert "48 images" in reply.problem
    assert ask(source, 3).image is not None
    source.stop()
    source.join()


def test_threads_end_when_stopped(video: Path) -> None:
    before = threading.active_count()
    sources = [ImageDecoder(video) for _ in range(3)]
    for source in sources:
        source.request(ImageRequest(frame=0, index=40, size_px=(160, 96)))
        source.stop()
    for source in sources:
        source.join()
    assert threading.active_count() == before


def test_the_image_cache_stays_within_its_budget() -> None:
    images = [np.full((16, 24, 3), (40 * k, 120, 200), np.uint8) for k in range(6)]
    sizes = [cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].nbytes for image in images]
    cache = ImageCache(3 * max(sizes))
    for index in range(5):
        cache.put(index, (24, 16), images[index])
        if index >= 2:
            assert cache.get(2, (24, 16)) is not None  # recently used: stays
    assert len(cache) == 3
    assert cache.get(0, (24, 16)) is None
    image = cache.get(4, (24, 16))
    assert image is not None
    assert np.abs(image.astype(int) - images[4]).max() < 8
    assert cache.get(4, (48, 32)) is None
    cache.put(9, (48, 32), images[5])
    assert (cache.count((24, 16)), cache.count((48, 32))) == (2, 1)  # images of another size are no exception
    assert cache.get(3, (24, 16)) is None
    assert cache.get(4, (24, 16)) is not None


def test_nothing_is_decoded_ahead_without_a_share_of_the_time(video: Path) -> None:
    source = ImageDecoder(video)
    source.ahead_share = 0.0
    assert [ask(source, index).image is not None for index in (20, 30)] == [True, True]
    source.stop()
    source.join()
    assert source.cached == 2
