"""Plugged-in cameras: modes in addresses, the interface of the kernel, and the structure of JPEG images."""

from __future__ import annotations

import sys

import pytest

from core.capture.jpeg import jpeg_size
from core.capture.modes import CameraMode, ModeRequest, best_mode, split_mode, with_mode
from core.errors import CoreError


def mode(width: int, height: int, fps: float, name: str) -> CameraMode:
    return CameraMode(size_px=(width, height), fps=fps, format=name)


WEBCAM = (
    mode(640, 480, 30, "yuyv422"),
    mode(1280, 720, 10, "yuyv422"),
    mode(1280, 720, 30, "mjpeg"),
    mode(1920, 1080, 30, "mjpeg"),
    mode(3840, 2160, 30, "mjpeg"),
    mode(1280, 720, 60, "mjpeg"),
)
RAW = (mode(640, 480, 30, "yuyv422"), mode(1280, 720, 30, "yuyv422"), mode(1920, 1080, 30, "yuyv422"))


@pytest.mark.parametrize(
    ("modes", "query", "expected"),
    [
        (WEBCAM, "", WEBCAM[3]),  # MJPEG, where raw images are slower
        (WEBCAM, "?size=1280x720", WEBCAM[5]),
        (WEBCAM, "?size=1280x720&fps=30", WEBCAM[2]),
        (WEBCAM, "?format=yuyv422", WEBCAM[0]),  # 30 per second rather than more pixels
        (RAW, "", RAW[1]),  # raw images have to be encoded
        (RAW, "?size=1920x1080", RAW[2]),
        ((mode(4096, 3000, 20, "gray"), mode(8192, 6000, 20, "gray")), "", mode(4096, 3000, 20, "gray")),
    ],
)
def test_a_mode_is_chosen_by_default_or_by_the_address(
    modes: tuple[CameraMode, ...], query: str, expected: CameraMode
) -> None:
    address, request = split_mode(f"v4l2:/dev/video0{query}")
    assert address == "v4l2:/dev/video0"
    assert best_mode(modes, request, address) == expected
    assert split_mode(with_mode(address, expected)) == (
        address,
        ModeRequest(size_px=expected.size_px, fps=expected.fps, format=expected.format),
    )


def test_a_mode_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(CoreError, match="no such mode") as refused:
        best_mode(WEBCAM, ModeRequest(size_px=(800, 600)), "v4l2:/dev/video0")
    assert "1920x1080, 30 fps, mjpeg" in refused.value.hint
    for wrong in ("size=wide", "fps=-3", "speed=3", "size=1x2&&"):
        with pytest.raises(CoreError, match="not a camera mode"):
            split_mode(f"v4l2:/dev/video0?{wrong}")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's interface")
def test_requests_to_the_kernel_have_its_numbers_which_contain_the_sizes_of_the_structures() -> None:
    from core.capture.sources.v4l2 import REQUESTS

    assert {name: number for name, (number, _) in REQUESTS.items()} == {
        "QUERYCAP": 0x80685600,
        "ENUM_FMT": 0xC0405602,
        "S_FMT": 0xC0D05605,
        "REQBUFS": 0xC0145608,
        "QUERYBUF": 0xC0585609,
        "QBUF": 0xC058560F,
        "DQBUF": 0xC0585611,
        "S_PARM": 0xC0CC5616,
        "G_CTRL": 0xC008561B,
        "S_CTRL": 0xC008561C,
        "QUERYCTRL": 0xC0445624,
        "ENUM_FRAMESIZES": 0xC02C564A,
        "ENUM_FRAMEINTERVALS": 0xC034564B,
    }


def test_the_structure_of_a_jpeg_shows_damage_without_decoding() -> None:
    import cv2
    import numpy as np

    data = cv2.imencode(".jpg", np.full((60, 80, 3), 90, np.uint8))[1].tobytes()
    assert jpeg_size(data) == jpeg_size(data + b"\0" * 500) == (80, 60)  # some cameras fill their buffer up
    embedded = data[:2] + b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data + data[2:]  # with a thumbnail
    assert jpeg_size(embedded) == (80, 60)
    for damaged in (b"", data[:1], data[:20], data[: len(data) // 2], data[:-2], data[1:], b"x" * 500, data[:2] + data):
        assert jpeg_size(damaged) is None
