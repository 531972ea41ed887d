"""Progress, cancellation, the time left, and registries."""

from __future__ import annotations

import itertools

import pytest

from core import progress
from core.errors import CancelledError, CoreError
from core.export import EXPORTERS
from core.jobs import Progressed
from core.jobs.events import Metric, decode, encode
from core.progress import RecordingReporter, StageReporter, TimeLeft, check, track
from core.registry import Registry, closest


def test_a_stage_reports_its_share_of_the_progress() -> None:
    reporter = RecordingReporter()
    outer = StageReporter(reporter, 0.2, 0.6, "Outer")
    inner = StageReporter(outer, 0.5, 0.5)
    inner.progress(1, 4, "Inner")
    inner.progress(0, 0)
    assert reporter.progresses == [(pytest.approx(0.2 + 0.6 * 0.625), 1.0, "Inner"), (pytest.approx(0.8), 1.0, "Outer")]


def test_tracking_stops_between_items_when_cancelled() -> None:
    reporter = RecordingReporter(cancel_after=3)
    seen: list[int] = []
    with pytest.raises(CancelledError):
        seen.extend(track(range(10), reporter, "Counting"))
    assert seen == [0, 1]
    assert reporter.progresses == [(0, 10, "Counting"), (1, 10, "Counting"), (2, 10, "Counting")]
    with pytest.raises(CancelledError):
        check(reporter)


def test_items_without_a_length_are_tracked() -> None:
    reporter = RecordingReporter()
    assert list(track(iter("ab"), reporter, "")) == ["a", "b"]
    assert reporter.progresses[-1] == (2, 2, "")


def test_the_time_left_considers_the_current_stage_only(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    left = TimeLeft()
    assert left.update(0.4, 1.0, "Training") is None, "a stage that only began"
    assert left.update(0.5, 1.0, "Training") == pytest.approx(50), "a tenth in ten seconds, five tenths to go"
    assert left.update(0.6, 1.0, "Training") == pytest.approx(40)
    assert left.update(0.6, 1.0, "Exporting") is None, "another stage has another pace"
    assert left.update(1.0, 1.0, "Exporting") == 0
    assert left.update(0.0, 0.0, "Exporting") is None


def test_numbers_in_the_text_do_not_begin_a_new_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    left = TimeLeft()
    assert left.update(1, 4, "Learning: step 1 of 4") is None
    assert left.update(2, 4, "Learning: step 2 of 4") == pytest.approx(20)


def test_the_time_left_is_unknown_at_the_start() -> None:
    left = TimeLeft(settle_s=1000)
    left.update(0, 10)
    assert left.update(5, 10) is None


def test_a_registry_imports_on_first_use_and_suggests_names() -> None:
    registry: Registry[type] = Registry("thing", {"camera": "core.types:Camera", "absent": "core.no_such_module:X"})
    assert list(registry) == ["camera", "absent"] and "camera" in registry and len(registry) == 2
    from core.types import Camera

    assert registry.get("camera") is Camera
    with pytest.raises(CoreError, match=r"no thing named 'camra'.*Did you mean 'camera'"):
        registry.get("camra")
    with pytest.raises(ModuleNotFoundError):
        registry.get("absent")
    assert closest("zzz", ["b", "a"]) == "Known: a, b."


def test_unknown_exporter_names_are_suggested() -> None:
    with pytest.raises(CoreError, match="Did you mean 'csv'"):
        EXPORTERS.get("cvs")


def test_events_survive_serialisation_and_newer_fields_are_ignored() -> None:
    event = Progressed(done=1.0, total=2.0, text="ä\n", time_left_s=None)
    line = encode(event)
    assert "\n" not in line and decode(line) == event
    assert decode(line.replace('"done"', '"added_later": 5, "done"')) == event
    metric = Metric(name="loss", value=float("inf"), step=3)
    assert decode(encode(metric)) == metric
    for broken in ("", "[]", "null", '{"event": "unheard"}', '{"event": "metric"}', line[:-5]):
        with pytest.raises(CoreError):
            decode(broken)
