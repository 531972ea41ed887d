"""Model files: shipped, local, or downloaded from a local server, and always those of the card."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from core.errors import CancelledError, CoreError
from core.files import read_json
from core.pose2d.cards import ModelCard, ModelFile, model_card, model_cards
from core.pose2d.download import DownloadPolicy, bytes_to_download, model_files
from core.pose2d.estimator import ESTIMATORS
from core.progress import RecordingReporter

CONTENT = bytes(range(256)) * 4096  # 1 MB


@dataclass
class Served:
    """Responses of the server, and the requests that it received."""

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    ranges: list[str] = field(default_factory=list)
    break_off_after: int | None = None
    resumes: bool = True
    base: str = ""

    def url(self, name: str, content: bytes) -> str:
        self.files[f"/{name}"] = content
        return f"{self.base}/{name}"


@pytest.fixture
def server() -> Iterator[Served]:
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path in served.redirects:
                self.send_response(302)
                self.send_header("Location", served.redirects[self.path])
                self.end_headers()
                return
            content = served.files.get(self.path)
            if content is None:
                self.send_error(404, "Not Found")
                return
            requested = self.headers.get("Range", "")
            served.ranges.append(requested)
            start = int(requested.removeprefix("bytes=").removesuffix("-")) if requested and served.resumes else 0
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            stop = len(content) if served.break_off_after is None else served.break_off_after
            self.wfile.write(content[start:stop])

        def log_message(self, format: str, *args: object) -> None:
            """Suppress the log."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.base = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield served
    http.shutdown()
    thread.join()
    http.server_close()


def model(*files: ModelFile) -> ModelCard:
    return ModelCard(name="m", title="Model M", purpose="", runner="rtmo", files=files, licence="Apache-2.0")


def fetching(tmp_path: Path, **changes: object) -> DownloadPolicy:
    return DownloadPolicy(allowed=True, cache=tmp_path / "cache", loopback_http=True, **changes)  # type: ignore[arg-type]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_a_downloaded_file_is_checked_stored_and_not_downloaded_again(server: Served, tmp_path: Path) -> None:
    file = ModelFile(role="pose", url=server.url("a.onnx", CONTENT), sha256=digest(CONTENT), bytes=len(CONTENT))
    reporter = RecordingReporter()
    assert bytes_to_download(model(file), fetching(tmp_path)) == len(CONTENT)
    path = model_files(model(file), "", fetching(tmp_path), reporter)["pose"]
    assert path.read_bytes() == CONTENT
    assert reporter.progresses[-1] == (len(CONTENT), len(CONTENT), "Downloading Model M, pose")
    assert bytes_to_download(model(file), fetching(tmp_path)) == 0
    assert (
        model_files(model(file), "", DownloadPolicy(cache=tmp_path / "cache"), reporter)["pose"] == path
    )  # no consent needed
    assert len(server.ranges) == 1
    assert sorted(p.name for p in path.parent.iterdir()) == ["pose.json", "pose.onnx"]


def test_nothing_is_downloaded_without_consent(server: Served, tmp_path: Path) -> None:
    file = ModelFile(role="pose", url=server.url("a.onnx", CONTENT), bytes=len(CONTENT))
    with pytest.raises(CoreError, match=r"must be downloaded from .*Licence: Apache") as caught:
        model_files(model(file), "", DownloadPolicy(cache=tmp_path, loopback_http=True), RecordingReporter())
    assert "Allow the download" in caught.value.hint
    assert server.ranges == []


def test_an_interrupted_download_resumes_where_it_stopped(server: Served, tmp_path: Path) -> None:
    file = ModelFile(role="pose", url=server.url("a.onnx", CONTENT), sha256=digest(CONTENT))
    server.break_off_after = 300_000
    with pytest.raises(CoreError, match=r"was interrupted after 300000 of 1048576|IncompleteRead"):
        model_files(model(file), "", fetching(tmp_path), RecordingReporter())
    server.break_off_after = None
    path = model_files(model(file), "", fetching(tmp_path), RecordingReporter())["pose"]
    assert path.read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=300000-"]


def test_a_download_restarts_if_the_server_does_not_support_ranges(server: Served, tmp_path: Path) -> None:
    file = ModelFile(role="pose", url=server.url("a.onnx", CONTENT), sha256=digest(CONTENT))
    server.break_off_after, server.resumes = 300_000, False
    with pytest.raises(CoreError):
        model_files(model(file), "", fetching(tmp_path), RecordingReporter())
    server.break_off_after = None
    path = model_files(model(file), "", fetching(tmp_path), RecordingReporter())["pose"]
    assert path.read_bytes() == CONTENT


def test_cancelling_keeps_the_partial_download(server: Served, tmp_path: Path) -> None:
    file = ModelFile(role="pose", url=server.url("a.onnx", CONTENT), sha256=digest(CONTENT))
    with pytest.raises(CancelledError):
        model_files(model(file), "", fetching(tmp_path), RecordingReporter(cancel_after=2))
    partial = tmp_path / "cache" / "m" / "pose.partial"
    assert 0 < partial.stat().st_size < len(CONTENT)
    assert model_files(model(file), "", fetching(tmp_path), RecordingReporter())["pose"].read_bytes() == CONTENT


def test_a_file_with_a_wrong_hash_is_refused_and_deleted(server: Served, tmp_path: Path) -> None:
    file = ModelFile(role="pose", url=server.url("a.onnx", CONTENT), sha256=digest(b"other"))
    with pytest.raises(CoreError, match="not the model on the card"):
        model_files(model(file), "", fetching(tmp_path), RecordingReporter())
    assert list((tmp_path / "cache" / "m").iterdir()) == []


def test_a_first_download_without_a_hash_is_trusted_and_checked_later(server: Served, tmp_path: Path) -> None:
    file = ModelFile(role="pose", url=server.url("a.onnx", CONTENT))
    reporter = RecordingReporter()
    path = model_files(model(file), "", fetching(tmp_path), reporter)["pose"]
    assert any("first download is trusted" in text and digest(CONTENT) in text for text, _ in reporter.notes)
    assert read_json(path.with_suffix(".json"))["sha256"] == digest(CONTENT)
    path.write_bytes(b"changed")
    with pytest.raises(CoreError, match="SHA-256 differs"):
        model_files(model(file), "", fetching(tmp_path), reporter)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def test_one_member_is_extracted_from_an_archive_however_it_is_nested(server: Served, tmp_path: Path) -> None:
    archive = zipped(**{"2023__model__end2end.onnx": CONTENT, "2023__model__detail.json": b"{}"})
    file = ModelFile(
        role="pose", url=server.url("a.zip", archive), member="end2end.onnx", sha256=digest(CONTENT), bytes=9
    )
    assert model_files(model(file), "", fetching(tmp_path), RecordingReporter())["pose"].read_bytes() == CONTENT
    assert sorted(p.name for p in (tmp_path / "cache" / "m").iterdir()) == ["pose.json", "pose.onnx"]


def test_an_archive_cannot_write_outside_its_target(server: Served, tmp_path: Path) -> None:
    archive = zipped(**{"..__..__..__evil.onnx": b"evil", "..__end2end.onnx": CONTENT})
    file = ModelFile(role="pose", url=server.url("a.zip", archive), member="end2end.onnx")
    before = set(tmp_path.rglob("*"))
    path = model_files(model(file), "", fetching(tmp_path), RecordingReporter())["pose"]
    new = set(tmp_path.rglob("*")) - before
    assert {p.relative_to(tmp_path).as_posix() for p in new if p.is_file()} == {
        "cache/m/pose.onnx",
        "cache/m/pose.json",
    }
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"no archive at all", "not a zip archive"),
        (zipped(other=b"x"), "has 0 files named end2end.onnx"),
        (zipped(**{"a__end2end.onnx": b"x", "b__end2end.onnx": b"y"}), "has 2 files"),
    ],
)
def test_an_archive_without_the_member_is_refused(server: Served, tmp_path: Path, content: bytes, text: str) -> None:
    file = ModelFile(role="pose", url=server.url("a.zip", content), member="end2end.onnx")
    with pytest.raises(CoreError, match=text):
        model_files(model(file), "", fetching(tmp_path), RecordingReporter())
    assert list((tmp_path / "cache" / "m").iterdir()) == []  # so that the next attempt downloads it again


def test_sizes_are_limited_before_and_while_reading_and_unpacking(server: Served, tmp_path: Path) -> None:
    small = fetching(tmp_path, max_bytes=100_000)
    with pytest.raises(CoreError, match="larger than"):
        model_files(model(ModelFile(role="pose", url=server.url("a.onnx", CONTENT))), "", small, RecordingReporter())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("end2end.onnx", bytes(1_000_000))
    file = ModelFile(role="pose", url=server.url("b.zip", buffer.getvalue()), member="end2end.onnx")
    assert len(buffer.getvalue()) < 100_000
    with pytest.raises(CoreError, match="larger than"):
        model_files(model(file), "", small, RecordingReporter())


def test_a_size_that_differs_from_the_card_is_refused(server: Served, tmp_path: Path) -> None:
    file = ModelFile(role="pose", url=server.url("a.onnx", CONTENT), bytes=5)
    with pytest.raises(CoreError, match="expected 5 from the model card"):
        model_files(model(file), "", fetching(tmp_path), RecordingReporter())


@pytest.mark.parametrize("url", ["http://example.org/a.onnx", "ftp://127.0.0.1/a", "file:///etc/passwd"])
def test_only_https_is_allowed(tmp_path: Path, url: str) -> None:
    with pytest.raises(CoreError, match="not an https address"):
        model_files(model(ModelFile(role="pose", url=url)), "", fetching(tmp_path), RecordingReporter())


def test_plain_http_to_this_machine_must_be_allowed_explicitly(server: Served, tmp_path: Path) -> None:
    file = ModelFile(role="pose", url=server.url("a.onnx", CONTENT))
    with pytest.raises(CoreError, match="not an https address"):
        model_files(model(file), "", DownloadPolicy(allowed=True, cache=tmp_path), RecordingReporter())


def test_a_redirect_away_from_https_is_not_followed(server: Served, tmp_path: Path) -> None:
    server.redirects["/a.onnx"] = "http://example.org/a.onnx"
    file = ModelFile(role="pose", url=f"{server.base}/a.onnx")
    with pytest.raises(CoreError, match="not an https address"):
        model_files(model(file), "", fetching(tmp_path), RecordingReporter())


def test_an_error_of_the_server_is_reported(server: Served, tmp_path: Path) -> None:
    with pytest.raises(CoreError, match="HTTP 404 Not Found"):
        model_files(
            model(ModelFile(role="pose", url=f"{server.base}/none")), "", fetching(tmp_path), RecordingReporter()
        )


def test_local_files_replace_a_download(tmp_path: Path) -> None:
    two = model(
        ModelFile(role="detector", url="https://x.invalid/d"), ModelFile(role="pose", url="https://x.invalid/p")
    )
    for role in ("detector", "pose"):
        (tmp_path / f"{role}.onnx").write_bytes(b"x")
    no = DownloadPolicy(cache=tmp_path / "none")
    assert model_files(two, str(tmp_path), no, RecordingReporter()) == {
        "detector": tmp_path / "detector.onnx",
        "pose": tmp_path / "pose.onnx",
    }
    with pytest.raises(CoreError, match="The detector model of Model M must be downloaded"):
        model_files(two, str(tmp_path / "pose.onnx"), no, RecordingReporter())
    with pytest.raises(CoreError, match="does not exist"):
        model_files(two, str(tmp_path / "nothing.onnx"), no, RecordingReporter())
    (tmp_path / "empty").mkdir()
    with pytest.raises(CoreError, match="no model files"):
        model_files(two, str(tmp_path / "empty"), no, RecordingReporter())


def test_every_card_is_complete_and_has_a_runner() -> None:
    found = model_cards()
    assert next(iter(found)) == "movenet_multipose"
    assert {"rtmpose_m", "rtmo_m", "rtmo_l", "vitpose_b"} <= set(found)
    for each in found.values():
        assert each.runner in ESTIMATORS
        assert all((each.title, each.purpose, each.licence))
        for file in each.files:
            assert bool(file.resource) != file.url.startswith("https://")
            assert file.sha256 == "" or len(bytes.fromhex(file.sha256)) == 32
    embedded = model_files(found["movenet_multipose"], "", DownloadPolicy(), RecordingReporter())["pose"]
    assert embedded.stat().st_size == found["movenet_multipose"].files[0].bytes
    with pytest.raises(CoreError, match="Unknown 2D estimator 'movnet_multipose'") as caught:
        model_card("movnet_multipose")
    assert "movenet_multipose" in caught.value.hint
