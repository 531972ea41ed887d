"""The verbs import-take and import-rig, as the worker calls them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from videos import write_video

from core.errors import CoreError
from core.files import read_json, read_yaml, resource
from core.pipelines.verbs import verb
from core.progress import NullReporter, RecordingReporter
from core.session import Session
from core.synthetic.rigs import ring_rig
from core.types import CameraRig


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session.create(tmp_path / "session")


def run(session: Session, verb_name: str, reporter: NullReporter | None = None, **params: object) -> dict:
    result = verb(verb_name)(session, params, session.new_run(verb_name), reporter or NullReporter())
    json.dumps(result, allow_nan=False)
    return result


@pytest.mark.slow
def test_sample_rig_and_take(session: Session) -> None:
    result = run(session, "import-rig", path=str(resource("sample", "Calib.qca.txt")))
    assert (result["level"], result["cameras"]) == ("ok", ["cam01", "cam02", "cam03", "cam04"])
    assert read_json(session.layout.rig_report)["digest"] == result["digest"] == session.require_rig().digest
    videos = [str(resource("sample", f"cam{i:02d}.mp4")) for i in range(1, 5)]
    reporter = RecordingReporter()
    result = run(session, "import-take", reporter, videos=videos, name="two_people")
    assert (result["n_frames"], round(result["fps"], 3), result["notes"]) == (100, 60, [])
    take = session.take("two_people")
    assert session.rig_for(take).names == take.cameras == ("cam01", "cam02", "cam03", "cam04")
    assert (take.timeline().frame_index >= 0).all()
    ((text, level),) = reporter.notes
    assert "assumed to start together" in text and level == "info"


def test_implausible_rig_is_imported_and_reported(session: Session, tmp_path: Path) -> None:
    low = CameraRig(cameras=tuple(c.replace(t_mm=c.pose[1] + c.pose[0] @ [0, 0, 5000.0]) for c in ring_rig(3)))
    low.save(tmp_path / "low.toml")
    reporter = RecordingReporter()
    result = run(session, "import-rig", reporter, path=str(tmp_path / "low.toml"))
    assert result["level"] == "error"
    assert result["verdict"].startswith("This calibration cannot be right")
    assert session.require_rig().digest == low.digest
    assert sum("under the floor" in text and level == "warning" for text, level in reporter.notes) == 3
    assert read_json(session.layout.rig_report)["level"] == "error"


def test_previous_rig_is_backed_up(session: Session, tmp_path: Path) -> None:
    digests = []
    for n in (3, 4, 5):
        ring_rig(n).save(tmp_path / "rig.toml")
        result = run(session, "import-rig", path=str(tmp_path / "rig.toml"))
        digests.append(result["digest"])
        if n > 3:
            assert CameraRig.load(session.root / result["backup"]).digest == digests[-2]
        else:
            assert result["backup"] == ""
    kept = {CameraRig.load(p).digest for p in session.root.glob("calibration/*/rig.toml")}
    assert kept == set(digests)


def test_failed_rig_import_changes_nothing(session: Session, tmp_path: Path) -> None:
    ring_rig(3).save(tmp_path / "good.toml")
    run(session, "import-rig", path=str(tmp_path / "good.toml"))
    before = session.layout.rig.read_bytes()
    (tmp_path / "bad.toml").write_text("[cam_0]\nmatrix = [1, 2]\n")
    with pytest.raises(CoreError, match=r"bad\.toml"):
        run(session, "import-rig", path=str(tmp_path / "bad.toml"))
    assert session.layout.rig.read_bytes() == before
    assert len(list(session.root.glob("calibration/*/rig.toml"))) == 1


def test_up_and_units_reach_the_importer(session: Session, tmp_path: Path) -> None:
    path = str(resource("sample", "Calib.qca.txt"))
    result = run(session, "import-rig", path=path, up="y")
    assert "with z as the up axis" in " ".join(f["remedy"] for f in result["findings"])
    config = read_yaml(max(session.layout.runs.glob("*/config.yaml")))
    assert config["up"] == "y"
    assert run(session, "import-rig", path=path, units="m")["level"] == "error"


def test_what_a_file_means_is_reported_and_stays_when_the_world_changes(session: Session, tmp_path: Path) -> None:
    """Poses stored camera to world, and a part of the lens that is not understood."""
    cameras = {}
    for c in ring_rig(4):
        R, centre = c.pose[0].T.tolist(), (c.centre_mm / 1000).tolist()
        cameras[c.name] = {"K": c.K.tolist(), "R": R, "T": centre, "size": list(c.size_px), "xi": 1.2}
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(cameras))

    def checks() -> set[str]:
        return {f["check"] for f in read_json(session.layout.rig_report)["findings"] if f["level"] == "error"}

    reporter = RecordingReporter()
    assert run(session, "import-rig", reporter, path=str(path))["level"] == "error"
    assert checks() == {"file", "poses"}
    warnings = " ".join(text for text, level in reporter.notes if level == "warning")
    assert "'xi' of cam01" in warnings and "--set pose_is=camera_to_world" in warnings
    run(session, "import-rig", path=str(path), pose_is="camera_to_world")
    assert checks() == {"file"}
    run(session, "set-world", quarter_turns=1)
    assert checks() == {"file"}


def test_image_sizes_missing_from_a_format_come_from_the_takes(session: Session, tmp_path: Path) -> None:
    videos = [str(write_video(tmp_path / f"{n}.mp4", n=3)) for n in ("0", "1")]
    run(session, "import-take", videos=videos)
    rig = ring_rig(2, size_px=(192, 64))
    document = {
        str(i): {
            "R": c.pose[0].tolist(),
            "T": c.centre_mm.tolist(),
            **{"fx": c.K[0, 0], "fy": c.K[1, 1], "cx": c.K[0, 2], "cy": c.K[1, 2]},
        }
        for i, c in enumerate(rig)
    }
    (tmp_path / "calibration.json").write_text(json.dumps(document))
    run(session, "import-rig", path=str(tmp_path / "calibration.json"))
    assert session.rig_for(session.take("take_01"))["1"].size_px == (192, 64)


def test_rig_is_exported_for_another_tool(session: Session, tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="no rig"):
        run(session, "export-rig", format="qca")
    rig = ring_rig(3, distortion=(-0.1, 0.02, 0, 0, 0))
    late = CameraRig(cameras=(rig[0].replace(time_offset_s=0.01), *rig.cameras[1:]))
    late.save(session.layout.rig)
    reporter = RecordingReporter()
    result = run(session, "export-rig", reporter, format="qca", path=str(tmp_path / "Calib"))
    assert result["files"] == [str(tmp_path / "Calib.qca.txt")]
    assert [level for text, level in reporter.notes if "time offsets of cam01" in text] == ["warning"]
    again = run(session, "import-rig", path=result["files"][0])
    assert (again["cameras"], again["level"]) == (list(rig.names), "ok")
    result = run(session, "export-rig", format="colmap")
    assert [Path(f).relative_to(session.layout.exports).as_posix() for f in result["files"]] == [
        "colmap/cameras.txt",
        "colmap/images.txt",
        "colmap/points3D.txt",
    ]
    with pytest.raises(CoreError, match="no rig format to write named 'colma'") as caught:
        run(session, "export-rig", format="colma")
    assert "colmap" in caught.value.hint
    before = session.layout.rig.read_bytes()
    for own in (session.root, session.layout.rig):
        with pytest.raises(CoreError, match="must not replace"):
            run(session, "export-rig", format="caliscope", path=str(own))
    assert session.layout.rig.read_bytes() == before
