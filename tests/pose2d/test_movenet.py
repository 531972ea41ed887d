"""MoveNet: decoding of heads with exact ground truth, and the real network on real images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.files import resource
from core.geometry.projection import project_rig
from core.geometry.triangulation import ideal_points, triangulate
from core.pose2d.config import Pose2DConfig
from core.pose2d.estimator import Detections
from core.pose2d.estimators.movenet import MoveNet, MoveNetHeads, decode_heads, network_input_size
from core.pose2d.pixelmap import PixelMap, letterbox
from core.rig_io.importers import read_rig
from core.session.video import VideoReader
from core.types import COCO17

SIZE = (1088, 1920)
FRAME = PixelMap.for_resize(SIZE, (290, 512))
CELLS = (128, 80)
CONFIG = Pose2DConfig(heatmaps=True, provider="cpu")


def rest_pose() -> np.ndarray:
    """Return joints (17, 2) y, x of an upright person of height 1 around the centre of the body."""
    x = [0, 0.02, -0.02, 0.05, -0.05, 0.12, -0.12, 0.16, -0.16, 0.18, -0.18, 0.08, -0.08, 0.08, -0.08, 0.08, -0.08]
    y = [-0.43, -0.45, -0.45, -0.44, -0.44, -0.3, -0.3, -0.14, -0.14, 0, 0, 0, 0, 0.22, 0.22, 0.45, 0.45]
    return np.stack([y, x], -1)


def heads_of(people: list[np.ndarray], coarse_error: float = 0.0, scores: list[float] | None = None) -> MoveNetHeads:
    """Return the network's heads for people (17, 2) y, x in cells from the corner of cell (0, 0)."""
    rng = np.random.default_rng(1)
    h, w = CELLS
    centre = np.zeros((h, w), np.float32)
    box_size, box_offset = np.zeros((2, h, w), np.float32), np.zeros((2, h, w), np.float32)
    heat = np.zeros((17, h, w), np.float32)
    coarse, offset = np.zeros((17, 2, h, w), np.float32), np.zeros((17, 2, h, w), np.float32)
    rows, columns = np.mgrid[:h, :w] + 0.5
    for joints, score in zip(people, scores or [0.9] * len(people), strict=True):
        low, high = joints.min(0), joints.max(0)
        middle = (low + high) / 2
        y, x = np.clip(middle.astype(int), 0, [h - 1, w - 1])
        centre[y, x] = score
        box_size[:, y, x], box_offset[:, y, x] = high - low, middle - [y, x]
        coarse[:, :, y, x] = joints - [y, x] - 0.5 + rng.uniform(-coarse_error, coarse_error, joints.shape)
        for j, (jy, jx) in enumerate(joints):
            blob = 0.8 * np.exp(-((rows - jy) ** 2 + (columns - jx) ** 2) / 2)
            stronger = blob > heat[j]
            heat[j] = np.where(stronger, blob, heat[j])
            offset[j, 0] = np.where(stronger, jy - rows + 0.5, offset[j, 0])
            offset[j, 1] = np.where(stronger, jx - columns + 0.5, offset[j, 1])
    return MoveNetHeads(centre, box_size, box_offset, heat, coarse, offset)


def pixels(joints: np.ndarray) -> np.ndarray:
    """Return image pixels (17, 2) x, y of joints in cells: the input pixel is 4 cells + 1/4."""
    network = joints[:, ::-1] * 4 - 0.5 + 0.25
    return FRAME.inverse(network)


def test_heads_are_decoded_to_the_exact_joints_of_any_number_of_people() -> None:
    people = [rest_pose() * 40 + [y, x] for y in (24.3, 70.7, 104.2) for x in (12.4, 39.6, 66.5)]
    config = Pose2DConfig(max_people=20)
    found = decode_heads(heads_of(people, coarse_error=1.5), FRAME, SIZE, config)
    assert len(found) == 9
    truth = np.stack([pixels(p) for p in people])
    nearest = np.abs(found.xy_px[:, None] - truth).max((2, 3)).min(0)
    assert nearest.max() < 0.01
    assert (found.score > 0.5).all()
    assert (np.diff(found.person_score) <= 0).all()


def test_a_person_at_the_border_scores_as_high_as_one_at_the_centre() -> None:
    person = rest_pose() * [50, 20] + [64, 0.6]  # half of it outside
    found = decode_heads(heads_of([person], scores=[0.5]), FRAME, SIZE, CONFIG)
    assert len(found) == 1
    seen = person[:, 1] > 0.5
    np.testing.assert_allclose(found.xy_px[0, seen], pixels(person)[seen], atol=0.01)
    assert found.box_px[0, 0] == -0.5  # cut at the image's edge


def test_neighbours_keep_their_own_limbs() -> None:
    left, right = (rest_pose() * 60 + [64, x] for x in (30.2, 42.4))  # 12 cells apart, shoulders overlap
    found = decode_heads(heads_of([left, right], coarse_error=1.0), FRAME, SIZE, CONFIG)
    assert len(found) == 2
    truth = np.stack([pixels(left), pixels(right)])
    assert np.abs(found.xy_px[:, None] - truth).max((2, 3)).min(0).max() < 0.01


def test_one_person_with_two_centres_is_one_person() -> None:
    person = rest_pose() * 60 + [64.2, 40.2]
    heads = heads_of([person])
    for field in (heads.centre, heads.box_size, heads.box_offset, heads.coarse):
        field[..., 67, 41] = field[..., 64, 40]
    heads.coarse[:, 0, 67, 41] -= 3
    heads.coarse[:, 1, 67, 41] -= 1
    heads.centre[67, 41] = 0.7
    found = decode_heads(heads, FRAME, SIZE, CONFIG)
    assert len(found) == 1
    assert found.person_score[0] > 0.75  # the better centre


def test_a_joint_without_a_heatmap_peak_is_missing() -> None:
    heads = heads_of([rest_pose() * 60 + [64.2, 40.2]])
    heads.heat[9] = 0
    found = decode_heads(heads, FRAME, SIZE, CONFIG)
    assert np.isnan(found.xy_px[0, 9]).all()
    assert found.score[0, 9] == 0
    assert np.isfinite(found.xy_px[0, np.arange(17) != 9]).all()


def test_a_centre_without_joints_is_no_person_and_claims_no_joints() -> None:
    person = rest_pose() * 60 + [64.2, 40.2]
    heads = heads_of([person])
    ghost = (64, 46)
    heads.centre[ghost] = 0.3
    heads.box_size[:, *ghost] = 60
    heads.coarse[:, :, *ghost] = 40  # all far away, but for one that fits the person's left wrist
    heads.coarse[9, :, *ghost] = person[9] - ghost - 0.5
    found = decode_heads(heads, FRAME, SIZE, CONFIG)
    assert len(found) == 1
    assert (found.score[0] > 0.5).all()


def test_no_people_and_the_maximum_number_of_people() -> None:
    assert len(decode_heads(heads_of([]), FRAME, SIZE, CONFIG)) == 0
    crowd = [rest_pose() * 20 + [y, x] for y in (20, 50, 80, 110) for x in (12, 30, 48, 66)]
    found = decode_heads(
        heads_of(crowd, scores=list(np.linspace(0.3, 0.9, 16))), FRAME, SIZE, Pose2DConfig(max_people=3)
    )
    heat = found.score.mean(-1)
    np.testing.assert_allclose(found.person_score**2, np.array([0.9, 0.86, 0.82]) * heat, atol=1e-5)


def test_heatmap_peaks_map_to_the_joints() -> None:
    person = np.floor(rest_pose() * 60 + [64, 40]) + 0.5  # joints in the middle of cells
    found = decode_heads(heads_of([person]), FRAME, SIZE, CONFIG)
    assert found.heatmaps is not None
    flat = found.heatmaps.values.reshape(17, -1).argmax(-1)
    cells = np.stack([flat % CELLS[1], flat // CELLS[1]], -1).astype(float)
    np.testing.assert_allclose(found.heatmaps.grid.inverse(cells), pixels(person), atol=1e-6)


@pytest.mark.parametrize(
    ("size", "long_side", "expected"),
    [
        ((1088, 1920), 512, (320, 512)),
        ((1920, 1080), 512, (512, 288)),
        ((640, 480), 512, (512, 384)),
        ((3000, 100), 512, (512, 32)),
        ((32, 32), 320, (320, 320)),
        ((1920, 1080), 500, (512, 288)),
    ],
)
def test_input_sides_are_multiples_of_32_that_hold_the_image(
    size: tuple[int, int], long_side: int, expected: tuple[int, int]
) -> None:
    assert network_input_size(size, long_side) == expected


@pytest.fixture(scope="module")
def movenet() -> MoveNet:
    files = {"pose": resource("weights", "movenet_multipose.onnx")}
    return MoveNet("movenet_multipose", files, CONFIG, threads=2)


def frame_of(camera: str, index: int) -> np.ndarray:
    with VideoReader(resource("sample", f"{camera}.mp4")) as video:
        return video.read(index)


@pytest.fixture(scope="module")
def images() -> dict[str, np.ndarray]:
    return {f"cam0{v}": frame_of(f"cam0{v}", 0) for v in range(1, 5)}


@pytest.fixture(scope="module")
def seen(movenet: MoveNet, images: dict[str, np.ndarray]) -> dict[str, Detections]:
    return dict(zip(images, movenet.estimate(list(images.values())), strict=True))


# Where the eye puts the noses and left ankles of the man and the woman in the sample's first images.
NOSE_AND_ANKLE = {
    "cam01": [[(487, 391), (443, 1120)], [(870, 878), (575, 1688)]],
    "cam02": [[(547, 455), (571, 1035)], [(170, 705), (168, 1420)]],
    "cam03": [[(573, 550), (540, 1195)], [(254, 560), (250, 1010)]],
    "cam04": [[(290, 583), (520, 1370)], [(694, 460), (775, 890)]],
}


@pytest.mark.slow
@pytest.mark.parametrize("camera", NOSE_AND_ANKLE)
def test_both_people_of_the_sample_are_detected(seen: dict[str, Detections], camera: str) -> None:
    found = seen[camera]
    assert len(found) >= 2
    hips = found.xy_px[:, [11, 12]].mean(1)
    for marks in NOSE_AND_ANKLE[camera]:
        middle = np.mean(marks, 0)
        assert np.linalg.norm(hips - middle, axis=-1).min() < 120


def test_mirrored_images_agree_with_themselves(
    movenet: MoveNet, images: dict[str, np.ndarray], seen: dict[str, Detections]
) -> None:
    """A constant offset of the pixel convention would appear twice; half an input pixel would be 3.8 px."""
    differences = []
    for camera, image in images.items():
        mirrored = movenet.estimate([np.ascontiguousarray(image[:, ::-1])])[0]
        back = mirrored.xy_px[:, list(COCO17.mirror)]
        back = np.stack([image.shape[1] - 1 - back[..., 0], back[..., 1]], -1)
        for person, score in zip(seen[camera].xy_px, seen[camera].score, strict=True):
            apart = back - person
            nearest = np.nanmedian(np.linalg.norm(apart, axis=-1), -1).argmin()
            good = (score > 0.4) & (np.linalg.norm(apart[nearest], axis=-1) < 25)
            differences.append(apart[nearest][good])
    shift = np.concatenate(differences)
    assert len(shift) > 90
    # The spread of the two estimates is about 6 px: the mean of 90 is known to 0.6 px.
    np.testing.assert_allclose(shift.mean(0), 0, atol=1.8)


def test_a_shifted_image_shifts_the_joints(movenet: MoveNet, images: dict[str, np.ndarray]) -> None:
    """A translation by one heatmap cell is the same image to the network; it tests the map back to image pixels."""
    image, _ = letterbox(images["cam03"], (320, 512))
    config = Pose2DConfig(long_side_px=544, provider="cpu")
    network = MoveNet("x", {"pose": resource("weights", "movenet_multipose.onnx")}, config, threads=2)
    canvas = np.zeros((2, 544, 352, 3), np.uint8)
    canvas[0, :512, :320] = image
    canvas[1, 32:, 32:] = image
    first, second = network.estimate(list(canvas))
    assert len(first) == len(second) == 2
    moved = second.xy_px - first.xy_px
    sure = np.minimum(first.score, second.score) > 0.4
    np.testing.assert_allclose(np.median(moved[sure], 0), 32, atol=0.15)


@pytest.mark.slow
def test_a_batch_of_mixed_sizes_equals_single_images(movenet: MoveNet, images: dict[str, np.ndarray]) -> None:
    images = [images["cam01"], images["cam02"][:1088, :1080], images["cam03"]]
    together = movenet.estimate(images)
    for image, found in zip(images, together, strict=True):
        alone = movenet.estimate([image])[0]
        np.testing.assert_allclose(found.xy_px, alone.xy_px, atol=0.05)
        np.testing.assert_allclose(found.score, alone.score, atol=1e-3)


def test_the_provider_has_a_description(movenet: MoveNet) -> None:
    assert movenet.provider.name == "cpu"
    assert "on the CPU" in movenet.provider.description
    assert Path(resource("weights", "LICENSE")).is_file()


def test_views_agree_on_both_people_in_3d(seen: dict[str, Detections]) -> None:
    """The joints of four views, triangulated with the rig, reproject onto themselves."""
    rig = read_rig(resource("sample", "Calib.qca.txt"))
    errors = []
    for person in (0, 1):
        xy_px, score = np.full((4, 17, 2), np.nan), np.zeros((4, 17))
        for v, camera in enumerate(rig.names):
            middle = np.mean(NOSE_AND_ANKLE[camera][person], 0)
            hips = seen[camera].xy_px[:, [11, 12]].mean(1)
            nearest = np.linalg.norm(hips - middle, axis=-1).argmin()
            xy_px[v], score[v] = seen[camera].xy_px[nearest], seen[camera].score[nearest]
        score[score < 0.25] = 0
        xyz_mm = triangulate(rig, ideal_points(rig, xy_px), score)
        error = np.linalg.norm(project_rig(rig, xyz_mm) - xy_px, axis=-1)
        errors.append(error[(score > 0) & ((score > 0).sum(0) >= 3)])
    every = np.concatenate(errors)
    assert len(every) > 80
    assert np.median(every) < 17  # 13.7 px over the whole sample
