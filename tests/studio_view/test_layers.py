"""Layers of a frame against exact ground truth, without OpenGL."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.files import write_json
from core.geometry import project, to_camera
from core.geometry.accuracy import accuracy_map
from core.rendering.skeleton_geometry import person_centres_mm, skeleton_geometry
from core.session import Session
from core.synthetic.rigs import ring_rig
from core.types import PANOPTIC15, CameraRig, CaptureVolume, Pose3DSequence, SyntheticRange
from studio.theme import DARK, LIGHT
from studio.viewport.camera import ViewerCamera
from studio.viewport.label_placement import free_marks, place_labels
from studio.viewport.layers import table
from studio.viewport.layers.accuracy import SHOW_ACCURACY, AccuracyLayer
from studio.viewport.layers.cameras import CameraLayer
from studio.viewport.layers.floor import FloorLayer, floor_capsules, floor_light
from studio.viewport.layers.labels import LabelLayer
from studio.viewport.layers.shadows import ShadowLayer, shadow_blobs
from studio.viewport.layers.skeletons import SkeletonLayer
from studio.viewport.layers.spec import ViewOptions
from studio.viewport.layers.trails import TrailLayer
from studio.viewport.layers.volume import SHOW_VOLUME, VolumeLayer, volume_capsules
from studio.viewport.palette import palette, rgba
from studio.viewport.reliability import CameraReliability, camera_reliability, reprojection_reliability
from studio.viewport.scene import build_scene_layers
from studio.viewport.scene_data import SceneData, nearest_frame

PALETTE = palette(DARK)
OPTIONS = {option.name: option for option in table.display_options()}
EVERYTHING = ViewOptions().with_option(SHOW_VOLUME, True)


@pytest.fixture(scope="module")
def data(rig: CameraRig, poses: Pose3DSequence) -> SceneData:
    volume = CaptureVolume(centre_mm=[0, 0, 900], size_mm=[3000, 3000, 2000], voxels=(8, 8, 8))
    return SceneData.build(rig, poses, poses, volume)


def test_empty_scene_data_shows_the_floor_only() -> None:
    scene = build_scene_layers(SceneData.build(), 0.0, EVERYTHING, PALETTE)
    assert set(scene.layers) == {"floor", "floor marks"}
    assert len(scene.extent_mm) == 0


@pytest.mark.parametrize(
    ("option", "gone"),
    [
        ("skeletons", {"skeletons", "ghost"}),
        ("trails", {"trails"}),
        ("labels", {"floor marks", "names"}),
        ("cameras", {"cameras"}),
        ("floor", {"floor", "floor marks", "shadows"}),
        ("volume", {"volume"}),
        ("images", set()),
    ],
)
def test_each_option_hides_exactly_its_layers(data: SceneData, option: str, gone: set[str]) -> None:
    shown = set(build_scene_layers(data, 0.5, EVERYTHING, PALETTE).layers)
    without = set(build_scene_layers(data, 0.5, EVERYTHING.with_option(OPTIONS[option], False), PALETTE).layers)
    assert shown - without == gone
    assert without <= shown


def test_skeletons_are_the_joints_of_the_frame(data: SceneData, poses: Pose3DSequence) -> None:
    layer = build_scene_layers(data, poses.time_s[10], EVERYTHING, PALETTE).layers["skeletons"]
    assert isinstance(layer, SkeletonLayer)
    joints = len(poses.skeleton)
    np.testing.assert_array_equal(layer.xyz_mm[:, :joints], poses.xyz_mm[10])
    np.testing.assert_array_equal(layer.score[:, :joints], poses.score[10])
    np.testing.assert_array_equal(layer.colour, [rgba(DARK.person(0)), rgba(DARK.person(1))])
    # The neck that COCO lacks: between the shoulders, without a ball.
    left, right = poses.skeleton.index("left_shoulder"), poses.skeleton.index("right_shoulder")
    np.testing.assert_allclose(layer.xyz_mm[:, joints], poses.xyz_mm[10][:, [left, right]].mean(1))
    assert layer.size[joints] == 0
    assert layer.bones.max() == joints


def test_absent_people_are_omitted_and_the_others_keep_their_colours(data: SceneData, poses: Pose3DSequence) -> None:
    scene = build_scene_layers(data, poses.time_s[32], EVERYTHING, PALETTE)
    skeletons, names = scene.layers["skeletons"], scene.layers["names"]
    assert isinstance(skeletons, SkeletonLayer)
    assert isinstance(names, LabelLayer)
    assert len(skeletons.xyz_mm) == 1
    np.testing.assert_array_equal(skeletons.colour[0], rgba(DARK.person(0)))
    assert names.texts == ("Person 1", *data.cameras)


def test_a_ghost_is_pale(rig: CameraRig, poses: Pose3DSequence) -> None:
    ghost = build_scene_layers(SceneData.build(rig, None, poses), 0.0, EVERYTHING, PALETTE).layers["ghost"]
    assert isinstance(ghost, SkeletonLayer)
    assert ghost.ghost
    np.testing.assert_array_equal(ghost.colour, np.stack([PALETTE.ghost] * 2))


def test_names_are_above_heads(data: SceneData, poses: Pose3DSequence) -> None:
    names = build_scene_layers(data, 0.0, EVERYTHING, PALETTE).layers["names"]
    assert isinstance(names, LabelLayer)
    assert (names.xyz_mm[:2, 2] > np.nanmax(poses.xyz_mm[0, :, :, 2], -1)).all()


def test_trails_show_the_past_up_to_the_frame(data: SceneData, poses: Pose3DSequence) -> None:
    options = ViewOptions(trail_s=0.5)
    trail = build_scene_layers(data, poses.time_s[25], options, PALETTE).layers["trails"]
    assert isinstance(trail, TrailLayer)
    path = person_centres_mm(poses)[10:26]
    np.testing.assert_allclose(trail.xyz_mm[..., :2], path.swapaxes(0, 1)[..., :2])
    first = build_scene_layers(data, poses.time_s[0], options, PALETTE).layers["trails"]
    assert isinstance(first, TrailLayer)
    assert first.xyz_mm.shape[1] == 1


def test_image_planes_are_what_the_cameras_see(rig: CameraRig) -> None:
    straight = CameraRig(cameras=tuple(c.replace(distortion=np.zeros(5)) for c in rig))
    data = SceneData.build(straight)
    for camera, corners in zip(straight, data.image_corner_mm, strict=True):
        width, height = camera.size_px
        wanted = np.array([(0, 0), (width, 0), (width, height), (0, height)]) - 0.5
        np.testing.assert_allclose(project(camera, corners), wanted, atol=1e-6)
        depth = to_camera(camera, corners)[:, 2]
        np.testing.assert_allclose(depth, depth[0])
        assert depth[0] > 0


def test_cameras_without_a_pose_are_omitted(rig: CameraRig) -> None:
    loose = CameraRig(cameras=(rig[0].replace(R=None, t_mm=None), rig[1], rig[2]))
    assert SceneData.build(loose).cameras == rig.names[1:]


def test_the_floor_covers_all_cameras_and_people(data: SceneData, rig: CameraRig, poses: Pose3DSequence) -> None:
    places = np.concatenate([[c.centre_mm for c in rig], poses.xyz_mm[poses.present].reshape(-1, 3)])[:, :2]
    places = places[np.isfinite(places).all(-1)] / 1000
    assert (places.min(0) >= data.floor_low_m).all()
    assert (places.max(0) <= data.floor_high_m).all()
    assert (np.subtract(data.floor_high_m, data.floor_low_m) < 30).all()


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_axes_and_image_planes_fit_the_size_of_the_rig(rig: CameraRig, scale: float) -> None:
    small = CameraRig(cameras=tuple(c.replace(t_mm=scale * c.t_mm) for c in rig))
    data = SceneData.build(small)
    size_mm = float(np.ptp(data.camera_centre_mm[:, :2], axis=0).max())
    layer = build_scene_layers(data, 0.0, ViewOptions(), PALETTE).layers["floor"]
    assert layer.axis_mm <= max(0.25 * size_mm, 60) and layer.axis_mm <= 700
    depth_mm = np.linalg.norm(data.image_corner_mm.mean(1) - data.camera_centre_mm, axis=-1)
    assert (depth_mm < 0.3 * size_mm).all()


def test_everything_fits_between_what_lies_over_the_view(data: SceneData) -> None:
    """The projection of the viewer, written out: a pinhole that looks at its centre."""
    width, height, top, bottom = 640, 400, 70, 60
    camera = ViewerCamera()
    for view in ("perspective", "top", "front", "side"):
        camera.set_view(view)
        camera.fit(data.extent_mm, (width, height), (top, bottom))
        right, up, forward = camera._axes()
        seen = data.extent_mm - np.array(camera.center)
        per_mm = height / camera.scale_factor
        if camera.fov:
            distance = camera.scale_factor / 2 / np.tan(np.radians(camera.fov) / 2)
            per_mm = per_mm * distance / (distance + seen @ forward)
        x, y = width / 2 + seen @ right * per_mm, height / 2 - seen @ up * per_mm
        assert x.min() >= 0 and x.max() <= width, view
        assert y.min() >= top and y.max() <= height - bottom, view


def test_no_camera_blocks_the_initial_view(data: SceneData) -> None:
    """The viewer stands in the middle of the widest gap: 60 degrees from both neighbours on a ring of three."""
    viewer = np.radians(data.azimuth_deg - 90)
    cameras = np.arctan2(data.camera_centre_mm[:, 1], data.camera_centre_mm[:, 0])
    away = np.abs((cameras - viewer + np.pi) % (2 * np.pi) - np.pi)
    # The people are not exactly in the middle of the ring.
    assert np.degrees(away.min()) > 45


def test_the_view_follows_a_person_while_present(data: SceneData, poses: Pose3DSequence) -> None:
    follow = ViewOptions(follow=2)
    present = build_scene_layers(data, poses.time_s[5], follow, PALETTE).focus_mm
    np.testing.assert_allclose(present, person_centres_mm(poses)[5, 1])
    assert build_scene_layers(data, poses.time_s[32], follow, PALETTE).focus_mm is None
    assert build_scene_layers(data, poses.time_s[5], ViewOptions(follow=7), PALETTE).focus_mm is None


def test_unchanged_layers_are_the_same_object(data: SceneData) -> None:
    before, after = (build_scene_layers(data, t, EVERYTHING, PALETTE).layers for t in (0.0, 0.5))
    for name in ("floor", "floor marks", "volume"):
        assert before[name] is after[name]
    other = build_scene_layers(data, 0.0, EVERYTHING, palette(LIGHT)).layers
    assert other["floor"] is not before["floor"]


def test_frames_are_found_by_time(poses: Pose3DSequence) -> None:
    for index, time_s in enumerate(poses.time_s.tolist()):
        assert nearest_frame(poses, time_s) == index
        assert nearest_frame(poses, time_s + 0.2 / 30) == index
    assert nearest_frame(poses, poses.time_s[-1] + 1.0) is None
    assert nearest_frame(poses, -1.0) is None


def test_a_person_centre_is_the_mean_of_the_hips_or_of_all_joints(poses: Pose3DSequence) -> None:
    xyz = poses.xyz_mm.copy()
    hip = poses.skeleton.index("left_hip")
    xyz[0, 0, hip] = np.nan
    score = np.where(np.isfinite(xyz).all(-1), poses.score, 0)
    middle = person_centres_mm(replace(poses, xyz_mm=xyz, score=score))
    np.testing.assert_allclose(middle[0, 0], np.nanmean(xyz[0, 0], 0))
    hips = [poses.skeleton.index(f"{side}_hip") for side in ("left", "right")]
    np.testing.assert_allclose(middle[0, 1], xyz[0, 1, hips].mean(0))
    assert np.isnan(middle[32, 1]).all()


def test_a_skeleton_with_a_neck_gets_no_midpoint() -> None:
    drawn = skeleton_geometry(PANOPTIC15)
    assert len(drawn.midpoints) == 0
    assert len(drawn.size) == len(PANOPTIC15)


def test_the_volume_shows_its_floor_and_the_range_of_synthetic_hips(rig: CameraRig) -> None:
    volume = CaptureVolume(centre_mm=[0, 0, 900], size_mm=[3000, 2000, 2200], voxels=(8, 8, 8))
    data = SceneData.build(rig, volume=volume, synthetic=SyntheticRange(side_share=0.1, lowest_mm=250, highest_mm=300))
    scene = build_scene_layers(data, 0.0, EVERYTHING, PALETTE)
    layer = scene.layers["volume"]
    assert isinstance(layer, VolumeLayer)
    assert layer.hips_low_mm.tolist() == [-1200, -800, 50] and layer.hips_high_mm.tolist() == [1200, 800, 1700]
    inner, outer, floor = volume_capsules(layer)
    assert len(inner.start) == len(outer.start) == 12
    assert np.concatenate([floor.start, floor.end])[:, 2].tolist() == [0] * 8
    assert floor.start.min(0).tolist() == [-1500, -1000, 0] and floor.start.max(0).tolist() == [1500, 1000, 0]
    assert inner.colour[0, 3] < outer.colour[0, 3] < floor.colour[0, 3]
    raised = replace(layer, low_mm=layer.low_mm + [0, 0, 500])
    assert len(volume_capsules(raised)) == 2, "a volume above the floor has no rectangle on it"


def test_the_extent_includes_a_visible_volume(rig: CameraRig) -> None:
    volume = CaptureVolume(centre_mm=[0, 0, 900], size_mm=[50_000, 2000, 2200], voxels=(8, 8, 8))
    data = SceneData.build(rig, volume=volume)
    shown, hidden = (
        build_scene_layers(data, 0.0, ViewOptions().with_option(SHOW_VOLUME, on), PALETTE).extent_mm
        for on in (True, False)
    )
    assert len(shown) == len(hidden) + 8
    assert shown[:, 0].max() == 25_000 and hidden[:, 0].max() < 10_000


def test_the_accuracy_map_lies_on_the_floor_and_cameras_show_their_error() -> None:
    rig = ring_rig(3)
    poor = dataclasses.replace(rig, cameras=(rig.cameras[0].replace(rmse_px=30.0), *rig.cameras[1:]))
    found = accuracy_map(rig)
    data = SceneData.build(poor, accuracy=found)
    colours = palette(DARK)
    assert "accuracy" not in build_scene_layers(data, 0.0, ViewOptions(), colours).layers
    scene = build_scene_layers(data, 0.0, ViewOptions().with_option(SHOW_ACCURACY, True), colours)
    drawn = scene.layers["accuracy"]
    assert isinstance(drawn, AccuracyLayer)
    assert drawn.corner_mm.shape == (1, 4, 3)
    assert drawn.corner_mm[..., 2].max() < 20
    assert drawn.image.shape[:2] == (4 * len(found.y_mm), 4 * len(found.x_mm))
    # The image's first row lies at the largest y; where the error is least it is green.
    x, y = np.unravel_index(np.nanargmin(found.error_mm[..., 1]), found.error_mm.shape[:2])
    best = drawn.image[4 * (len(found.y_mm) - 1 - y), 4 * x].astype(int)
    assert best[1] > best[0]
    cameras = scene.layers["cameras"]
    assert isinstance(cameras, CameraLayer)
    assert cameras.colour.shape == (3, 4)
    assert (cameras.colour[0] == colours.levels[2]).all()
    assert (cameras.colour[1] == colours.camera).all()  # unknown reliability


def test_loco_errors_take_precedence_over_reprojection_errors() -> None:
    rig = ring_rig(4)
    cameras = tuple(c.replace(rmse_px=0.3) for c in rig)
    errors = dict(zip(rig.names, (0.6, 2.0, 9.0, 0.8), strict=True))
    reliability = CameraReliability(
        basis="loco", error_px=errors, level=dict(zip(rig.names, (0, 1, 2, 0), strict=True))
    )
    own = SceneData.build(dataclasses.replace(rig, cameras=cameras))
    assert own.camera_level.tolist() == [0, 0, 0, 0]
    assert own.reliability.title == "Reprojection error"
    assert own.reliability.legend_rows() == [(0, "good: 0.3 px")]
    data = SceneData.build(dataclasses.replace(rig, cameras=cameras), reliability=reliability)
    drawn = build_scene_layers(data, 0.0, ViewOptions(), PALETTE).layers["cameras"]
    assert isinstance(drawn, CameraLayer)
    np.testing.assert_array_equal(drawn.colour, PALETTE.levels[[0, 1, 2, 0]])
    assert data.reliability.title == "Leave-one-camera-out error"
    assert data.reliability.legend_rows() == [(0, "good: 0.6 to 0.8 px"), (1, "fair: 2.0 px"), (2, "poor: 9.0 px")]


def test_loco_errors_come_from_a_report_of_this_rig_only(tmp_path: Path) -> None:
    rig = dataclasses.replace(ring_rig(3), cameras=tuple(c.replace(rmse_px=6.0) for c in ring_rig(3)))
    session = Session.create(tmp_path / "mine")
    rig.save(session.layout.rig)
    first, second, third = rig.names
    findings = [{"check": "loco", "level": "error", "camera": second, "message": "", "remedy": ""}]
    quality = {"loco_px": {first: 0.5, second: 8.0, third: None}}
    report = {"digest": session.require_rig().digest, "findings": findings, "quality": quality}
    write_json(session.layout.rig_report, report)
    found = camera_reliability(session, rig)
    assert found.basis == "loco"
    assert found.legend_rows() == [(0, "good: 0.5 px"), (2, "poor: 8.0 px"), (3, "unknown: 1 camera")]
    assert (found.error_px, found.level) == ({first: 0.5, second: 8.0}, {first: 0, second: 2})
    for other in (report | {"digest": "of another rig"}, report | {"quality": {}}, report | {"findings": [1]}, {}, []):
        write_json(session.layout.rig_report, other)
        assert camera_reliability(session, rig) == reprojection_reliability(rig)
    assert set(reprojection_reliability(rig).level.values()) == {1}  # 4 px at 1280 px width
    session.layout.rig_report.unlink()
    assert camera_reliability(session, rig).basis == "reprojection"


def test_shadows_lie_under_feet_and_trunk_and_fade_with_height(data: SceneData, poses: Pose3DSequence) -> None:
    layer = build_scene_layers(data, poses.time_s[5], ViewOptions(), PALETTE).layers["shadows"]
    assert isinstance(layer, ShadowLayer)
    blobs = shadow_blobs(layer)
    ankles = [poses.skeleton.index(f"{side}_ankle") for side in ("left", "right")]
    under = np.concatenate([person_centres_mm(poses)[5], poses.xyz_mm[5][:, ankles].reshape(-1, 3)])
    np.testing.assert_allclose(blobs.centre, under[:, :2])
    jump = replace(layer, ankle_mm=layer.ankle_mm + (0, 0, 300), trunk_mm=layer.trunk_mm + (0, 0, 300))
    assert (shadow_blobs(jump).colour[:, 3] < blobs.colour[:, 3]).all()
    assert (shadow_blobs(jump).along[:, 0] > blobs.along[:, 0]).all(), "softer"
    unknown = replace(layer, ankle_mm=np.full_like(layer.ankle_mm, np.nan))
    assert len(shadow_blobs(unknown).centre) == len(layer.trunk_mm)


def test_the_floor_goes_on_beyond_the_scene_and_fades(data: SceneData) -> None:
    layer = build_scene_layers(data, 0.0, ViewOptions(), PALETTE).layers["floor"]
    assert isinstance(layer, FloorLayer)
    minor, major, _ = floor_capsules(layer)
    ends = np.concatenate([np.stack([part.start, part.end], 1) for part in (minor, major)])[..., :2] / 1000
    opacity = np.concatenate([minor.colour, major.colour])[..., 3]
    assert (ends.min((0, 1)) < layer.low_m).all() and (ends.max((0, 1)) > layer.high_m).all()
    centre = (np.array(layer.low_m) + layer.high_m) / 2
    distance = np.linalg.norm(ends - centre, axis=-1)
    assert opacity[distance > 0.99 * distance.max()].max() < 0.02
    assert opacity[distance < 0.3 * distance.max()].min() > 0.9
    vertices, colour, triangles = floor_light(layer)
    assert triangles.max() == len(vertices) - 1 == len(colour) - 1
    outermost = np.linalg.norm(vertices[:, :2] / 1000 - centre, axis=1).argmax()
    np.testing.assert_allclose(colour[outermost], PALETTE.background, atol=1e-6)


def test_labels_yield_to_names_of_people_and_none_covers_another() -> None:
    size = np.array([(80.0, 20.0)] * 3 + [(40.0, 14.0)] * 3)
    anchor = np.array([(100, 100), (130, 105), (400, 50), (100, 104), (402, 75), (np.nan, np.nan)], float)
    yielding = np.array([False] * 3 + [True] * 3)
    low, visible = place_labels(anchor, size, yielding, 6.0)
    assert visible.tolist() == [True] * 5 + [False]
    assert low[0].tolist() == [60, 100] and low[2].tolist() == [360, 50], "the lowest stays over its anchor"
    assert low[1].tolist() == [90, 122], "the other rises"
    boxes = np.concatenate([low, low + size], 1)[visible]
    for index, box in enumerate(boxes):
        for other in boxes[index + 1 :]:
            assert not ((box[:2] < other[2:]) & (other[:2] < box[2:])).all()
    crowd = np.array([(100.0, y) for y in (100, 82, 64)] + [(100.0, 100)])
    visible = place_labels(crowd, np.array([(200.0, 20.0)] * 3 + [(40.0, 14.0)]), np.arange(4) == 3, 6.0)[1]
    assert visible.tolist() == [True, True, True, False], "a camera in a crowd has no name"
    over, every = np.array([(80.0, 106.0, 110.0, 118.0)]), np.array([(0.0, 0.0, 200.0, 200.0)])
    for marks, expected in ((over, [80, 80]), (every, [80, 106])):
        low, visible = place_labels(anchor[:1], size[3:4], np.array([True]), 6.0, marks)
        assert visible.all() and low[0].tolist() == expected, "a mark is left free, or covered where there is no room"


def test_floor_marks_at_one_place_are_hidden_and_dense_ones_thinned() -> None:
    anchor = np.array([(50, 90), (50, 90), (50, 91), (100, 90), (120, 90), (140, 90), (np.nan, np.nan)], float)
    visible = free_marks(anchor, np.full((7, 2), (30.0, 14.0)))
    assert visible.tolist() == [False] * 3 + [True, False, True, False]
