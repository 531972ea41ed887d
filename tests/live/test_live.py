"""Live 3D: the sample's images as they come from running cameras, in this process and in one of its own."""

import dataclasses
import time

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from core.board.pattern import Board
from core.capture.ring import ImageRing
from core.capture.sources.demo import demo_rig
from core.errors import CoreError
from core.files import resource
from core.jobs.commands import SetLive, send_command
from core.live.agreement import CameraAgreement
from core.live.client import LiveProcess
from core.live.config import LiveConfig
from core.live.engine import InputSize, LiveEngine
from core.live.stream import LivePeople, PeopleReader, PeopleRing
from core.live.views import CommonTime, LiveImage, TimedPoses, clockwise_deg, live_rig
from core.pipelines.cameras.live import run_live
from core.pipelines.params import LiveParams, RecordParams
from core.pipelines.record import run_record
from core.progress import NullReporter, RecordingReporter
from core.reconstruction.triangulated import Triangulator
from core.rig_io.importers import read_rig
from core.session import Session
from core.session.video import VideoReader
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.types import COCO17, Pose2D
from core.types.camera import CameraRig

FRAMES = (0, 12, 24)  # of 60 a second


@pytest.fixture(scope="module")
def sample_rig():
    return read_rig(resource("sample", "Calib.qca.txt"))


@pytest.fixture(scope="module")
def sample_images(sample_rig):
    """Small images of the sample by frame, as they come from rings."""
    by_frame = {frame: [] for frame in FRAMES}
    for name in sample_rig.names:
        with VideoReader(resource("sample", f"{name}.mp4")) as video:
            for frame in FRAMES:
                image = video.read(frame)
                small = cv2.resize(image, None, fx=1 / 3, fy=1 / 3, interpolation=cv2.INTER_AREA)
                time_ns = 10**9 + round(frame * 1e9 / 60)
                live = LiveImage(camera=name, image=small, size_px=video.size_px, time_ns=time_ns)
                by_frame[frame].append(live)
    return by_frame


def test_people_of_the_sample_are_those_of_the_baseline(sample_rig, sample_images):
    poses2d = {name: Pose2D.load(resource("sample", "poses2d", f"{name}.npz")) for name in sample_rig.names}
    chosen = {name: poses.select(np.arange(30)) for name, poses in poses2d.items()}
    baseline = Triangulator().reconstruct(sample_rig, chosen, np.arange(30) / 60, NullReporter())
    sizes = {image.camera: image.size_px for image in sample_images[0]}
    engine = LiveEngine(live_rig(sample_rig, sizes), LiveConfig(long_side_px=384, smooth=False))
    found = [engine.update(sample_images[frame]) for frame in FRAMES]
    engine.close()
    assert not len(found[0].ids)  # a person is not shown before they are seen twice
    for frame, seen in zip(FRAMES[1:], found[1:], strict=True):
        assert seen.cameras == sample_rig.names and seen.time_ns == sample_images[frame][0].time_ns
        near = np.linalg.norm(baseline.xyz_mm[frame][:, None] - seen.xyz_mm[None], axis=-1)  # (people, seen, J)
        apart = np.sort(np.nanmedian(near, -1).min(1))
        assert (apart[:2] < 45.0).all()  # of full-size images; the third of them is 5 m further away
    assert found[1].ids.tolist() == found[2].ids.tolist() == [1, 2]


def test_poses_are_brought_to_a_common_time_with_the_offsets_of_the_cameras():
    truth, rig = people.crossing(2, 40, np.random.default_rng(5)), rigs.ring_rig(4)
    offsets_s = (0.0, 0.021, -0.008, 0.0)
    rig = CameraRig(
        cameras=tuple(c.replace(time_offset_s=o) for c, o in zip(rig, offsets_s, strict=True)),
    )
    poses2d = observe(rig, truth, 0.0, 0.0, np.random.default_rng(1))
    common = CommonTime(rig, COCO17)
    period_ns = round(1e9 * (truth.time_s[1] - truth.time_s[0]))
    for t in (4, 5):
        for camera in rig:
            # All are exposed at frame t; camera 3 of all is one image late.
            exposed_ns = (t - (camera.name == rig.names[3])) * period_ns
            row = poses2d[camera.name].select(np.array([exposed_ns // period_ns]))
            common.add(camera.name, TimedPoses(exposed_ns, exposed_ns + round(camera.time_offset_s * 1e9), row))
    found = common.next()
    assert found is not None and found.time_ns == 4 * period_ns
    assert found.newest_ns == 5 * period_ns + 21_000_000 and found.cameras == rig.names
    for name in rig.names:
        np.testing.assert_allclose(found.poses2d[name].xy_px[0], poses2d[name].xy_px[4], atol=1e-3)
    assert common.next() is None
    # Half a period later, a person is half-way between both images.
    half_ns = 4 * period_ns + period_ns // 2
    row = poses2d[rig.names[3]].select(np.array([4]))
    common.add(rig.names[3], TimedPoses(half_ns, half_ns, row))
    found = common.next()
    assert found is not None and found.time_ns == half_ns
    both = poses2d[rig.names[0]].xy_px
    np.testing.assert_allclose(found.poses2d[rig.names[0]].xy_px[0], (both[4] + both[5]) / 2, atol=0.01)
    # A camera that has been silent for long is not waited for.
    for name in rig.names[:3]:
        late_ns = half_ns + 10**9
        common.add(name, TimedPoses(late_ns, late_ns, poses2d[name].select(np.array([30]))))
    found = common.next()
    assert found is not None and found.cameras == rig.names[:3] and not found.poses2d[rig.names[3]].xy_px.size


@pytest.mark.parametrize("turned_deg", [0, 5])
def test_a_camera_that_was_moved_is_named(turned_deg):
    truth, rig = people.crossing(2, 40, np.random.default_rng(5)), rigs.ring_rig(4)
    poses2d = observe(rig, truth, 3.0, 0.0, np.random.default_rng(1))
    R, t_mm = rig[2].pose
    turn = Rotation.from_euler("y", turned_deg, degrees=True).as_matrix()
    calibrated = [c.replace(R=turn @ R, t_mm=turn @ t_mm) if c is rig[2] else c for c in rig]  # before it was turned
    outdated = CameraRig(cameras=tuple(calibrated))
    method, agreement, nobody = Triangulator().online(outdated, COCO17), *(CameraAgreement(outdated) for _ in range(2))
    named = []
    for frame in range(20, 36):
        now = {name: poses.select(np.array([frame])) for name, poses in poses2d.items()}
        found = method.update(frame / 3, now)
        named.append(agreement.update(frame / 3, rig.names, now, found.xyz_mm))
        nobody.update(frame / 3, rig.names, now, found.xyz_mm[:0])
    assert named[0] == () and named[-1] == ((rig.names[2],) if turned_deg else ())
    assert nobody.update(12.1, rig.names, now, found.xyz_mm[:0]) == rig.names


def test_the_input_size_follows_the_speed_of_the_machine():
    size = InputSize()
    assert not any(size.update(0.2) for _ in range(11)) and size.update(0.2) == 256
    assert not any(size.update(0.2) for _ in range(30))  # there is nothing smaller
    assert max(size.update(0.03) for _ in range(12)) == 384
    assert not any(size.update(0.1) for _ in range(30))
    assert max(size.update(0.02) for _ in range(12)) == 512 and not any(size.update(0.02) for _ in range(30))


def test_the_rig_tells_how_a_camera_is_turned():
    upright = rigs.ring_rig(3)[0]
    R, t_mm = upright.pose
    for degrees in (0, 90, 180, 270):
        # An image turned back by what makes it upright.
        angle = np.radians(degrees)
        roll = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
        assert clockwise_deg(upright.replace(R=roll @ R, t_mm=roll @ t_mm)) == degrees


def test_cameras_must_fit_the_calibration(sample_rig):
    width, height = sample_rig[0].size_px
    half = (width // 2, height // 2)
    fitted = live_rig(sample_rig, {"cam02": half, "cam04": (width, height), "other": (640, 480)})
    assert fitted.names == ("cam02", "cam04") and fitted[0].size_px == half
    with pytest.raises(CoreError, match="calibrated at"):
        live_rig(sample_rig, {"cam01": (640, 480), "cam02": half})
    with pytest.raises(CoreError, match="two calibrated cameras"):
        live_rig(sample_rig, {"cam01": half, "left": half})


def test_people_go_through_shared_memory():
    xyz_mm = np.random.default_rng(0).normal(0, 1000, (3, 17, 3)).round(1)
    xyz_mm[1, 4] = np.nan
    sent = LivePeople(
        skeleton=COCO17,
        time_ns=3 * 10**18 + 1,
        newest_ns=3 * 10**18 + 7,
        ids=np.array([4, 9, 2]),
        xyz_mm=xyz_mm,
        score=np.where(np.isfinite(xyz_mm).all(-1), 0.5, 0.0),
        cameras=("a", "b"),
        fps=8.25,
    )
    ring = PeopleRing()
    reader = PeopleReader(ring.name)
    try:
        assert reader.newest() is None
        ring.put(dataclasses.replace(sent, time_ns=1))
        ring.put(sent)
        found = reader.newest()
        assert found is not None and reader.newest() is None
        assert (found.time_ns, found.newest_ns, found.cameras, found.fps) == (
            sent.time_ns,
            sent.newest_ns,
            ("a", "b"),
            8.25,
        )
        for name in ("ids", "xyz_mm", "score"):
            np.testing.assert_array_equal(getattr(found, name), getattr(sent, name))
        ring.put(dataclasses.replace(sent, ids=sent.ids[:0], xyz_mm=xyz_mm[:0], score=sent.score[:0]))
        nobody = reader.newest()
        assert nobody is not None and nobody.xyz_mm.shape == (0, 17, 3)
    finally:
        reader.close()
        ring.close()


@pytest.mark.slow
def test_a_process_of_its_own_makes_people_of_the_rings_of_a_recording(tmp_path, sample_rig, sample_images):
    session = Session.create(tmp_path / "session")
    sample_rig.save(session.layout.rig)
    reporter = RecordingReporter()
    live = LiveProcess(session.root, LiveConfig(long_side_px=256, body_model="Ana"), reporter)
    rings = {image.camera: ImageRing(image.image.shape[0] * image.image.shape[1]) for image in sample_images[0]}
    reader, index = None, 0

    def until(holds):
        """Film until this holds of the people."""
        nonlocal reader, index
        deadline, found = time.monotonic() + 120, None
        while found is None or not holds(found):
            assert time.monotonic() < deadline and not live.facts["problem"], live.facts
            index += 1
            for image in sample_images[0]:
                info = {"index": index, "time_ns": time.monotonic_ns(), "size_px": image.size_px}
                rings[image.camera].put(image.image, info)
            time.sleep(0.02)
            if reader is None and live.facts["ring"]:
                reader = PeopleReader(live.facts["ring"])
            found = reader.newest() if reader is not None else None
        return found

    try:
        live.attach({name: ring.name for name, ring in rings.items()})
        found = until(lambda people: len(people.ids) >= 2)
        assert found.bodies is None and 0 < found.latency_s(time.monotonic_ns()) < 120
        problem = live.facts["body_problem"]
        assert "no body model 'Ana'" in problem and [text for text, _ in reporter.notes] == [problem]
        ids = found.ids.tolist()
        live.configure(LiveConfig(long_side_px=256))
        found = until(lambda people: people.bodies is not None and people.bodies.person_ids)
        assert found.ids.tolist() == ids and not live.facts["body_problem"]
        live.configure(LiveConfig(long_side_px=256, body_model="", vmc_port=1))
        found = until(lambda people: people.bodies is None)
        assert found.ids.tolist() == ids
    finally:
        if reader is not None:
            reader.close()
        live.stop()
        live.join()
        for ring in rings.values():
            ring.close()
    assert not live.facts["problem"] and len(reporter.notes) == 1


@pytest.mark.slow
def test_a_process_that_cannot_go_on_says_why(tmp_path, sample_rig):
    session = Session.create(tmp_path / "session")
    sample_rig.save(session.layout.rig)
    reporter = RecordingReporter()
    live = LiveProcess(session.root, LiveConfig(), reporter)
    rings = {name: ImageRing(9) for name in sample_rig.names}
    try:
        live.attach({name: ring.name for name, ring in rings.items()})
        for ring in rings.values():
            ring.put(np.zeros((3, 3, 3), np.uint8), {"index": 0, "time_ns": 1, "size_px": (640, 480)})
        deadline = time.monotonic() + 120
        while not live.facts["problem"] and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        live.stop()
        live.join()
        for ring in rings.values():
            ring.close()
    assert "640x480, but camera cam01 was calibrated at 1088x1920" in live.facts["problem"]
    assert [level for _, level in reporter.notes] == ["warning"]


def test_live_needs_a_calibration(tmp_path):
    session = Session.create(tmp_path / "session")
    run = session.new_run("live")
    with pytest.raises(CoreError, match="no rig"):
        run_live(session, LiveParams(cameras=("demo:cam01",)), run, NullReporter())


class Switching(RecordingReporter):
    """Switches live 3D on in running cameras, off once there are results, and ends when it is off."""

    def __init__(self, folder):
        super().__init__()
        self._folder, self._sent, self._deadline = folder, 0, time.monotonic() + 120

    def status(self, values):
        super().status(values)
        if self._sent == 0 and all(camera["frames"] for camera in values["cameras"].values()):
            send_command(self._folder, SetLive(on=True))
            self._sent = 1
        elif self._sent == 1 and values["people"]["fps"]:
            send_command(self._folder, SetLive(on=False))
            self._sent = 2

    def cancelled(self):
        off = self._sent == 2 and bool(self.statuses) and not self.statuses[-1]["live"]
        return off or time.monotonic() > self._deadline


@pytest.mark.slow
def test_live_is_switched_on_and_off_while_cameras_run(tmp_path):
    session = Session.create(tmp_path / "session")
    demo_rig(Board(), 2).save(session.layout.rig)
    run = session.new_run("record")
    reporter = Switching(run.root)
    cameras = ("cam01=demo:cam01", "cam02=demo:cam02")
    run_record(session, RecordParams(cameras=cameras, kind="motion", preview_only=True), run, reporter)
    on = [status for status in reporter.statuses if status["people"]["fps"]]
    assert on and on[0]["live"] and on[0]["people"]["ring"] and on[0]["people"]["latency_ms"] > 0
    assert not reporter.statuses[-1]["live"] and not reporter.statuses[-1]["people"]["ring"]
    assert any("fps" in text for _, _, text in reporter.progresses)
    assert not [text for text, _ in reporter.notes if "Live 3D" in text]
