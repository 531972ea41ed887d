"""Simulated cameras with exact ground truth, in front of a moving calibration board or of people in a room.

They run through the same code as real cameras, for trials and tests without hardware. Clock errors can be chosen in the
address.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from urllib.parse import parse_qsl

import av
import cv2
import numpy as np

from core.board.pattern import Board
from core.board.sheet import render_board, size_mm
from core.capture.source import FoundCamera, Source, SourceOptions
from core.errors import CoreError
from core.geometry import project
from core.registry import closest
from core.synthetic.board_scene import board_motion
from core.synthetic.rigs import camera
from core.types.arrays import F64, U8
from core.types.camera import Camera, CameraRig
from core.types.frame import ArrayImage, Frame

SCHEME = "demo"
PEOPLE = "people/"
"""Prefix of the names of cameras that film people."""
FPS = 10.0
_RESUME_AT = 5  # a camera that lags behind continues at a multiple of this image number
N_CAMERAS = 4
_SIZE_PX = (640, 480)
_BACKGROUND = 110
_REFERENCE_WIDTH_MM = 600.0  # board width for which the distances below are chosen
_PERIOD_S = 600.0  # after which the board's trajectory repeats
_MIN_FACING = 0.15  # smallest cosine between view direction and board normal at which the board is drawn
_OVERSAMPLING = 2  # factor by which images are drawn larger, for soft edges


def demo_rig(board: Board, n_cameras: int = N_CAMERAS) -> CameraRig:
    """Return cameras on a half circle scaled to the size of the board."""
    scale = size_mm(board)[0] / _REFERENCE_WIDTH_MM
    angles = np.radians(np.linspace(15, 165, n_cameras))
    heights = np.where(np.arange(n_cameras) % 2, 1600, 2000)
    centres = [(2300 * np.cos(a), 2300 * np.sin(a), float(h)) for a, h in zip(angles, heights, strict=True)]
    return CameraRig(
        cameras=tuple(
            camera(f"cam{i + 1:02d}", scale * np.array(centre), (0, 0, 500 * scale), size_px=_SIZE_PX, fov_deg=60)
            for i, centre in enumerate(centres)
        )
    )


class DemoCameras:
    """Simulated rig with a moving board.

    Args:
        board: The board, which determines the size of the rig.
        seed: Seed of the trajectory.
    """

    def __init__(self, board: Board, seed: int = 4) -> None:
        self.board, self.rig = board, demo_rig(board)
        self._print, scale = render_board(board), size_mm(board)[0] / _REFERENCE_WIDTH_MM
        rng = np.random.default_rng(seed)
        self._trajectory = board_motion(self.rig, rng, _PERIOD_S, speed_mm=350 * scale, room_mm=450 * scale)

    def image(self, camera: Camera, time_s: float) -> U8:
        """Return the (H, W, 3) uint8 image of a camera at a time."""
        centre, R = self._trajectory(np.array([time_s % _PERIOD_S]))
        grey = draw_board(self._print, self.board, camera, centre[0], R[0])
        return np.repeat(grey[..., None], 3, 2)


@functools.lru_cache(maxsize=1)
def demo_cameras(board: Board) -> DemoCameras:
    """Return the simulated cameras of a board, common to all cameras of a recording."""
    return DemoCameras(board)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DemoClock:
    """Clock errors of a simulated camera; see `core.session.clocks.CameraClock`.

    Attributes:
        offset_ms: Recorded minus true time at the start.
        drift_ppm: Rate of the clock minus the true rate.
        drop: Numbers of images that are not delivered; recorded times and sequence numbers show the gap.
        lose: Numbers of images that are skipped without a gap in recorded times and sequence numbers.
    """

    offset_ms: float = 0.0
    drift_ppm: float = 0.0
    drop: tuple[int, ...] = ()
    lose: tuple[int, ...] = ()

    @classmethod
    def parse(cls, query: str) -> DemoClock:
        """Parse a query such as "offset_ms=100&drift_ppm=40&drop=17,60".

        Raises:
            CoreError: A name is unknown, or a value is not a number.
        """
        values: dict[str, float | tuple[int, ...]] = {}
        for key, text in parse_qsl(query, keep_blank_values=True):
            try:
                values[key] = tuple(map(int, text.split(","))) if key in ("drop", "lose") else float(text)
            except ValueError:
                raise CoreError(
                    f"'{text}' is not a number in '{key}={text}'.", f"Use a number, such as {key}=17."
                ) from None
            if key not in {field.name for field in dataclasses.fields(cls)}:
                names = [field.name for field in dataclasses.fields(cls)]
                raise CoreError(f"Demo cameras have no setting '{key}'.", closest(key, names))
        return cls(**values)  # type: ignore[arg-type]

    def true_s(self, number: int) -> float:
        """Return the time of exposure, in s from the start, of the image recorded at `number / FPS`."""
        recorded_s = number / FPS
        lost = sum(skipped <= number + i for i, skipped in enumerate(sorted(self.lose)))
        return recorded_s - 1e-3 * self.offset_ms - 1e-6 * self.drift_ppm * recorded_s + lost / FPS


class DemoSource:
    """Simulated camera; see `core.capture.source.Source`.

    Args:
        draw: Function that returns the (H, W, 3) uint8 image at a time in s from the start, given the image number.
        size_px: Width and height in px.
        clock: Clock errors.
        options: Settings of the source.
    """

    template: av.VideoStream | None = None
    fps = FPS

    def __init__(
        self, draw: Callable[[float, int], U8], size_px: tuple[int, int], clock: DemoClock, options: SourceOptions
    ) -> None:
        self._draw, self._clock, self._options = draw, clock, options
        self.size_px = size_px

    def frames(self) -> Iterator[Frame]:
        """Yield images in real time; images that cannot be drawn in time are dropped, the same ones by all cameras."""
        clock, number, index = self._options.clock, 0, 0
        while True:
            time_ns = self._options.start_ns + round(number * 1e9 / FPS)
            behind_s = (clock.now_ns() - time_ns) / 1e9
            if behind_s > 2 / FPS:
                number += int(behind_s * FPS)
                number += -number % _RESUME_AT  # Lagging cameras continue with the same frame set.
                continue
            clock.sleep(-behind_s)
            if number not in self._clock.drop:
                data = ArrayImage(self._draw(self._clock.true_s(number), number))
                own_ns = time_ns - self._options.start_ns
                yield Frame(
                    camera=self._options.camera,
                    index=index,
                    time_ns=time_ns,
                    data=data,
                    source_time_ns=own_ns,
                    sequence=number,
                )
                index += 1
            number += 1

    def close(self) -> None:
        """Do nothing: there is nothing to release."""


def room_camera_name(address: str) -> str:
    """Return the name of a camera in the rig of the demo room; empty for other cameras."""
    scheme, _, rest = address.partition(":")
    path = rest.partition("?")[0]
    return path.removeprefix(PEOPLE) if scheme.lower() == SCHEME and path.startswith(PEOPLE) else ""


def _drawable(board: Board | None) -> Board:
    """Return a board that can be drawn: the default one if it is unknown."""
    return Board() if board is None or board.kind == "auto" else board


class DemoKind:
    """Simulated cameras; see `core.capture.source.SourceKind`."""

    title = "Demo camera"
    example = f"{SCHEME}:cam01"
    simulated = True

    def accepts(self, address: str) -> bool:
        """Return whether an address begins with `demo:`."""
        return address.partition(":")[0].lower() == SCHEME

    def discover(self) -> list[FoundCamera]:
        """Return all simulated cameras, those that film a board first."""
        names = [f"cam{number:02d}" for number in range(1, N_CAMERAS + 1)]
        board = [FoundCamera(address=f"{SCHEME}:{name}", title=f"Demo camera {name}, board") for name in names]
        people = [
            FoundCamera(address=f"{SCHEME}:{PEOPLE}{name}", title=f"Demo camera {name}, people") for name in names
        ]
        return [*board, *people]

    def open(self, address: str, options: SourceOptions) -> Source:
        """Start a simulated camera.

        Raises:
            CoreError: No simulated camera has this name, or a setting in the address is invalid.
        """
        path, _, query = address.partition(":")[2].partition("?")
        clock = DemoClock.parse(query)
        name = path.removeprefix(PEOPLE)
        if path.startswith(PEOPLE):
            # Imported here because other cameras need no renderer.
            from core.synthetic.rendering.scene import room_camera, room_people, room_rig

            rig, people = room_rig(), room_people()
            if name in rig.names:
                view = room_camera(rig.names.index(name))
                draw = functools.partial(view.image, people)
                return DemoSource(draw, view.camera.size_px, clock, options)
        else:
            cameras = demo_cameras(_drawable(options.board))
            rig = cameras.rig
            if name in rig.names:
                one = rig[name]
                return DemoSource(lambda time_s, _: cameras.image(one, time_s), one.size_px, clock, options)
        prefix = PEOPLE if path.startswith(PEOPLE) else ""
        known = ", ".join(prefix + camera for camera in rig.names)
        raise CoreError(f"There is no camera at '{address}'.", f"Demo cameras: {known}.")


KIND = DemoKind()


def draw_board(print_image: U8, board: Board, camera: Camera, centre_mm: F64, R: F64) -> U8:
    """Render the front of a board for a camera without distortion.

    Args:
        print_image: Printed board, from `core.board.sheet.printed`.
        board: The board.
        camera: Camera with a pose.
        centre_mm: (3,) centre of the board's points in world coordinates.
        R: (3, 3) rotation from board to world coordinates.

    Returns:
        (H, W) uint8 grey image; background only if the board is seen from behind or too steeply.
    """
    width_mm, height_mm = size_mm(board)
    margin = board.square_mm / 2
    corners = np.array(
        [
            [-margin, -margin],
            [width_mm + margin, -margin],
            [width_mm + margin, height_mm + margin],
            [-margin, height_mm + margin],
        ]
    )
    local = np.concatenate([corners, np.zeros((4, 1))], 1) - board.points_mm[: board.points_per_side].mean(0)
    xy = project(camera, centre_mm + local @ R.T)
    width, height = camera.size_px
    view = camera.centre_mm - centre_mm
    if not np.isfinite(xy).all() or view @ R[:, 2] > -_MIN_FACING * np.linalg.norm(view):
        return np.full((height, width), _BACKGROUND, np.uint8)
    rows, columns = print_image.shape
    source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32) - np.float32(0.5)
    to_image = cv2.getPerspectiveTransform(source, xy.astype(np.float32))
    offset = (_OVERSAMPLING - 1) / 2
    to_larger = np.array([[_OVERSAMPLING, 0, offset], [0, _OVERSAMPLING, offset], [0, 0, 1.0]]) @ to_image
    larger = cv2.warpPerspective(
        print_image,
        to_larger,
        (_OVERSAMPLING * width, _OVERSAMPLING * height),
        flags=cv2.INTER_AREA,
        borderValue=(_BACKGROUND,),
    )
    return np.asarray(cv2.resize(larger, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
