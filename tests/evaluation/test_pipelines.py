"""The verbs triangulate and evaluate on a session of synthetic people."""

import dataclasses

import numpy as np
import pytest
import torch

from core.config import to_mapping
from core.errors import CoreError
from core.export import EXPORTERS
from core.export.exporter import ExportedResult, Origin, resolve_options, write_result
from core.files import read_json, write_text
from core.models.checkpoint import Checkpoint
from core.models.config import HeatmapConfig, ModelConfig, PoseNetConfig, RootNetConfig, VolumeNetConfig
from core.models.networks import Networks
from core.pipelines.params import EvaluateParams, ExportParams, InferParams, TriangulateParams
from core.pipelines.verbs import verb
from core.progress import NullReporter, RecordingReporter
from core.session import BASELINE, Session, TakeCamera, TakeManifest, Timeline
from core.session.status import session_status
from core.synthetic import people, rigs
from core.synthetic.observe import observe
from core.tracking.config import TrackingConfig
from core.types import CaptureVolume

T, FPS = 40, 30.0


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    rng = np.random.default_rng(0)
    rig, truth = rigs.ring_rig(4), people.crossing(2, T, rng)
    session = Session.create(tmp_path_factory.mktemp("sessions") / "synthetic")
    rig.save(session.layout.rig)
    cameras = tuple(
        TakeCamera(name=c.name, file=f"cam_{c.name}.mkv", size_px=c.size_px, n_frames=T, fps=FPS) for c in rig
    )
    manifest = TakeManifest(name="walk", kind="motion", fps=FPS, n_frames=T, cameras=cameras)
    index = np.tile(np.arange(T)[:, None], (1, len(rig)))
    timeline = Timeline(cameras=rig.names, time_s=np.arange(T) / FPS, frame_index=index, frame_time_s=index / FPS)
    take = session.write_take(manifest, timeline)
    for name, pose in observe(rig, truth, 4.0, 0.05, rng).items():
        pose.save(take.layout.poses2d_file("movenet_multipose", name))
    write_text(take.layout.poses2d_manifest("movenet_multipose"), "name: movenet_multipose\n")
    return session


def run(session, name, params, reporter=None):
    return verb(name)(session, to_mapping(params), session.new_run(name), reporter or NullReporter())


def test_evaluation_without_a_baseline_is_refused_with_a_hint(session):
    session.take("walk").layout.poses3d(BASELINE).unlink(missing_ok=True)
    with pytest.raises(CoreError, match="Run triangulate"):
        run(session, "evaluate", EvaluateParams(take="walk"))


@pytest.mark.slow
def test_triangulate_stores_a_baseline_with_its_provenance(session):
    reporter = RecordingReporter()
    result = run(session, "triangulate", TriangulateParams(take="walk"), reporter)
    assert result["people_per_frame"]["2"] >= T - 2
    assert result["person_ids"] == [1, 2]
    assert result["identity_switches"] == 0
    assert 2.0 < result["reprojection_px_median"] < 6.0
    assert reporter.progresses
    sequence = session.take("walk").poses3d(BASELINE)
    assert sequence.provenance["method"] == "triangulation"
    assert sequence.provenance["estimator"] == "movenet_multipose"
    assert sequence.provenance["rig"] == session.require_rig().digest
    assert sequence.provenance["config"]["association"]["min_views"] == 2
    assert sequence.provenance["config"]["tracking"]["smoothing"] == "none"
    assert sequence.covariance_mm2 is not None


@pytest.mark.slow
def test_evaluate_reports_the_baseline_without_a_trained_run(session):
    run(session, "triangulate", TriangulateParams(take="walk"))
    report = run(session, "evaluate", EvaluateParams(take="walk"))
    assert report == read_json(session.take("walk").layout.report)
    assert report["take"] == "walk"
    assert report["frames"] == T
    assert report["held_out_frames"] == 8
    baseline, smoothed = report["methods"]["baseline"], report["methods"]["rts"]
    assert set(report["methods"]) == {"baseline", "rts"}
    assert smoothed["observations_all"] == baseline["observations_all"]
    assert smoothed["loco_px_median"] < baseline["loco_px_median"]
    assert baseline["frames_with_two_or_more"] >= T - 2
    assert baseline["identity_switches"] == 0
    assert baseline["reprojection_px_median"] < baseline["loco_px_median"] < 12.0
    assert baseline["observations"] > 400
    assert baseline["covered"] > 0.9
    assert report["verdict"].endswith("No trained run was compared.")
    assert report["comparison"]["first"] == "rts"


@pytest.mark.slow
def test_a_baseline_that_is_smoothed_already_is_not_listed_twice(session):
    tracking = TrackingConfig(smoothing="rts")
    run(session, "triangulate", TriangulateParams(take="walk", tracking=tracking))
    report = run(session, "evaluate", EvaluateParams(take="walk"))
    assert set(report["methods"]) == {"baseline"}
    assert report["methods"]["baseline"]["label"] == "Triangulation with RTS smoothing"
    raw = TrackingConfig(smoothing="one_euro")
    run(session, "triangulate", TriangulateParams(take="walk", tracking=raw))
    both = run(session, "evaluate", EvaluateParams(take="walk"))["methods"]
    assert both["rts"]["loco_px_median"] == report["methods"]["baseline"]["loco_px_median"]
    assert both["rts"]["reprojection_px_median"] == report["methods"]["baseline"]["reprojection_px_median"]
    assert both["baseline"]["label"] == "Triangulation with One-Euro smoothing"


@pytest.mark.slow
def test_an_unknown_run_is_refused(session):
    run(session, "triangulate", TriangulateParams(take="walk"))
    with pytest.raises(CoreError, match="has no trained networks"):
        run(session, "evaluate", EvaluateParams(take="walk", run="nothing"))


@pytest.mark.slow
def test_shipped_networks_need_no_training(session, tmp_path):
    run(session, "triangulate", TriangulateParams(take="walk"))
    result = run(session, "infer", InferParams(take="walk", model="fast"))
    assert (result["model"], result["people_per_frame"]) == ("fast", {"2": T})
    people = session.take("walk").poses3d("fast")
    assert (people.provenance["networks"], people.provenance["run"]) == ("shipped", "fast")
    assert session_status(session)["infer"].reason == "3D poses of fast."
    report = run(session, "evaluate", EvaluateParams(take="walk"))
    assert report["methods"]["trained"]["covered"] > 0.9
    assert report == run(session, "evaluate", EvaluateParams(take="walk", model="fast"))
    files = run(session, "export", ExportParams(take="walk", formats=("csv",), folder=str(tmp_path)))["files"]
    assert str(tmp_path / "walk_fast.csv") in files
    session.take("walk").layout.poses3d("fast").unlink()


def test_networks_that_do_not_exist_are_refused(session):
    with pytest.raises(CoreError, match="no trained run") as refusal:
        run(session, "infer", InferParams(take="walk"))
    assert "--model fast" in refusal.value.hint
    with pytest.raises(CoreError, match="ships no networks named 'paper'"):
        run(session, "infer", InferParams(take="walk", model="paper"))
    with pytest.raises(CoreError, match="Both the run 'a' and the shipped networks 'fast'"):
        run(session, "infer", InferParams(take="walk", run="a", model="fast"))


def test_a_take_without_people_is_a_warning(session):
    take = session.take("walk")
    for name, pose in take.poses2d("movenet_multipose").items():
        blind = type(pose)(
            camera=name,
            skeleton=pose.skeleton,
            xy_px=np.full_like(pose.xy_px, np.nan),
            score=np.zeros_like(pose.score),
            box_px=np.full_like(pose.box_px, np.nan),
        )
        blind.save(take.layout.poses2d_file("blind", name))
    write_text(take.layout.poses2d_manifest("blind"), "name: blind\n")
    reporter = RecordingReporter()
    result = run(session, "triangulate", TriangulateParams(take="walk", estimator="blind"), reporter)
    assert result["people_per_frame"] == {"0": T}
    assert result["reprojection_px_median"] is None
    assert any(level == "warning" and "No person was found" in text for text, level in reporter.notes)
    report = run(session, "evaluate", EvaluateParams(take="walk", estimator="blind"))
    assert report["methods"]["baseline"]["loco_px_median"] is None
    assert "accuracy is unknown" in report["verdict"]


@pytest.mark.slow
def test_methods_are_scored_against_a_file_of_truth(session, tmp_path):
    run(session, "triangulate", TriangulateParams(take="walk"))
    truth = people.crossing(2, T, np.random.default_rng(0))
    turned = dataclasses.replace(truth, xyz_mm=truth.xyz_mm[..., [1, 2, 0]] + [100.0, 2000.0, -300.0])
    origin = Origin(take="walk", poses="truth", rig="", version="")
    written = ExportedResult(poses=turned, origin=origin)
    (file,) = write_result("c3d", written, tmp_path / "truth", resolve_options(EXPORTERS.get("c3d")))
    reporter = RecordingReporter()
    report = run(session, "evaluate", EvaluateParams(take="walk", truth=(str(file),)), reporter)
    assert report == read_json(session.take("walk").layout.report)
    found = report["truth"]
    raw, smoothed = found["methods"]["baseline"], found["methods"]["rts"]
    assert smoothed["mpjpe_mm"] < raw["mpjpe_mm"] < 25
    assert raw["recall"] > 0.98 and raw["precision"] > 0.98
    assert raw["covered"] > 0.95
    assert abs(found["fit"]["offset_s"]) < 0.005
    assert found["held_out_frames"] == 8
    assert found["verdict"] in [text for text, _ in reporter.notes]
    assert any("one fit for the whole take" in text for text, _ in reporter.notes)
    with pytest.raises(CoreError, match="does not exist"):
        run(session, "evaluate", EvaluateParams(take="walk", truth=("none.csv",)))


@pytest.mark.slow
def test_networks_are_evaluated_on_the_same_observations(session):
    run(session, "triangulate", TriangulateParams(take="walk"))
    model = session.new_run("train")
    torch.manual_seed(0)
    net = VolumeNetConfig(width=0.25, front_kernel=3)
    config = ModelConfig(
        heatmap=HeatmapConfig(long_side_px=128, sigma_px=2.0),
        root=RootNetConfig(net=net, threshold=0.45),
        pose=PoseNetConfig(net=net, voxels=24),
    )
    volume = CaptureVolume(centre_mm=[0.0, 0, 800], size_mm=[4400.0, 4400, 2000], voxels=(40, 40, 16))
    Checkpoint(Networks(config).state_dict(), config, volume, {"step": 0}, {}).save(model.checkpoints / "best")
    report = run(session, "evaluate", EvaluateParams(take="walk", run=model.name))
    assert report == read_json(model.report) == read_json(session.take("walk").layout.report)
    baseline, trained = report["methods"]["baseline"], report["methods"]["trained"]
    assert trained["run"] == model.name
    assert baseline["observations"] == trained["observations"]
    assert "trained networks are better" not in report["verdict"]
