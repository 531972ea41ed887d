"""The files of a model card on this machine: embedded, picked by the person, or fetched with consent and checked.

Fetched models lie in the user's cache folder, one folder a card. A download goes on where it broke off, comes over
https only, and counts once its SHA-256 agrees with the card. Where a publisher states none, the hash of the first
download is kept beside the file and every later use is held against it (trust on first use), and the person is told.
"""

from __future__ import annotations

import http.client
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import platformdirs

from core.errors import CoreError
from core.files import read_json, replacing, resource, sha256, write_json
from core.pose2d.cards import ModelCard, ModelFile
from core.progress import Reporter, check

LARGEST_BYTES = 2 << 30
_BLOCK = 1 << 18
_TIMEOUT_S = 30.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadPolicy:
    """How models may be fetched.

    Attributes:
        allowed: Whether the person consented to downloads.
        cache: Folder of fetched models; None takes the user's cache folder.
        loopback_http: Whether this machine itself may be asked over plain http, for mirrors and tests.
        largest_bytes: Most that a download or an unpacked file may have.
    """

    allowed: bool = False
    cache: Path | None = None
    loopback_http: bool = False
    largest_bytes: int = LARGEST_BYTES

    @property
    def folder(self) -> Path:
        """Where fetched models lie."""
        return self.cache or platformdirs.user_cache_path("selfpose-studio") / "models"


def model_files(card: ModelCard, picked: str, fetching: DownloadPolicy, reporter: Reporter) -> dict[str, Path]:
    """Paths of a card's ONNX files by role.

    Args:
        card: The model.
        picked: What the person chose instead of a download: an ONNX file for the role "pose", or a folder with
            `<role>.onnx` for some or all roles; empty for nothing.
        fetching: Consent and cache.
        reporter: Told of download progress.

    Raises:
        CoreError: A file is missing and may not be fetched, a download failed or is not what the card says.
    """
    chosen = _picked(card, picked)
    return {
        file.role: chosen.get(file.role) or _embedded(file) or _fetched(card, file, fetching, reporter)
        for file in card.files
    }


def bytes_to_download(card: ModelCard, fetching: DownloadPolicy) -> int | None:
    """Bytes that would have to be fetched before the model can run: 0 for none, None where a size is not known."""
    sizes = [f.bytes for f in card.files if not f.resource and not _cached_path(card, f, fetching).is_file()]
    return None if any(s is None for s in sizes) else sum(s or 0 for s in sizes)


def _picked(card: ModelCard, picked: str) -> Mapping[str, Path]:
    if not picked:
        return {}
    path = Path(picked).expanduser()
    if path.is_dir():
        found = {f.role: path / f"{f.role}.onnx" for f in card.files if (path / f"{f.role}.onnx").is_file()}
        if not found:
            names = " and ".join(f"{f.role}.onnx" for f in card.files)
            raise CoreError(f"The folder {path} has no model files.", f"Put {names} of {card.title} into it.")
        return found
    if not path.is_file():
        raise CoreError(f"The model file {path} does not exist.", f"Choose the ONNX file of {card.title}.")
    return {"pose": path}


def _embedded(file: ModelFile) -> Path | None:
    if not file.resource:
        return None
    path = resource(*PurePosixPath(file.resource).parts)
    if not path.is_file() or (file.sha256 and sha256(path) != file.sha256):
        raise CoreError(f"The program's own model {path.name} is missing or damaged.", "Install the program again.")
    return path


def _cached_path(card: ModelCard, file: ModelFile, fetching: DownloadPolicy) -> Path:
    return fetching.folder / card.name / f"{file.role}.onnx"


def _fetched(card: ModelCard, file: ModelFile, fetching: DownloadPolicy, reporter: Reporter) -> Path:
    path = _cached_path(card, file, fetching)
    record = path.with_suffix(".json")
    if path.is_file() and record.is_file():
        return _checked(path, file.sha256 or str(read_json(record).get("sha256", "")))
    if not fetching.allowed:
        size = f" ({file.bytes / 1e6:.0f} MB)" if file.bytes else ""
        raise CoreError(
            f"{card.title} is not on this machine: its {file.role} model comes from {file.url}{size}. "
            f"Licence: {card.licence}",
            "Allow the download, choose local ONNX files, or use movenet_multipose, which ships with the program.",
        )
    download = _download(file, path.parent, fetching, reporter, f"Downloading {card.title}, {file.role}")
    try:
        _unpack(file, download, path, fetching.largest_bytes)
    finally:
        # Useless or unpacked: either way it has served, and the next try must not find it.
        download.unlink()
    digest = _accepted(path, card, file, reporter)
    fetched = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(record, {"url": file.url, "sha256": digest, "bytes": path.stat().st_size, "fetched": fetched})
    return path


def _checked(path: Path, expected: str) -> Path:
    """A file of the cache, if it is still what was fetched."""
    if sha256(path) != expected:
        raise CoreError(
            f"{path} is not the file that was downloaded before: its SHA-256 differs.",
            "Delete it and download it again; if you replaced it on purpose, choose it as a local model file instead.",
        )
    return path


def _accepted(path: Path, card: ModelCard, file: ModelFile, reporter: Reporter) -> str:
    """SHA-256 of a fresh file, held against the card; trusted, and said to be, where the card states none."""
    digest = sha256(path)
    if file.sha256 and digest != file.sha256:
        path.unlink()
        raise CoreError(
            f"What {file.url} sent is not the model on the card: its SHA-256 is {digest}.",
            "Try again; if it happens again, the file was changed at its source: do not use it.",
        )
    if not file.sha256:
        reporter.note(
            f"The publisher of {card.title} states no hash for its {file.role} model: the first download is trusted. "
            f"SHA-256 {digest}, kept to be checked at every use."
        )
    return digest


def _download(file: ModelFile, folder: Path, fetching: DownloadPolicy, reporter: Reporter, text: str) -> Path:
    """Fetches `file.url` into `<role>.download`, going on from a `<role>.partial` of an earlier try."""
    _check_address(file.url, fetching)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{file.role}.partial"
    whole = folder / f"{file.role}.download"
    if whole.is_file():
        return whole
    done = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(file.url, headers={"User-Agent": "selfpose-studio"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        with _opener(fetching).open(request, timeout=_TIMEOUT_S) as answer:
            if done and answer.status != http.HTTPStatus.PARTIAL_CONTENT:
                done = 0  # the server does not resume: from the start
            total = _announced(answer, done, file, fetching.largest_bytes)
            with partial.open("ab" if done else "wb") as out:
                while block := answer.read(_BLOCK):
                    done += len(block)
                    if done > fetching.largest_bytes:
                        raise _too_large(file.url, fetching.largest_bytes)
                    out.write(block)
                    reporter.progress(done, max(total, done), text)
                    check(reporter)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            partial.unlink(missing_ok=True)
        raise CoreError(f"{file.url} answered {error.code} {error.reason}.", _REMEDY) from error
    except (OSError, http.client.HTTPException) as error:
        raise CoreError(f"The download of {file.url} failed: {error}.", _REMEDY) from error
    if total and done != total:
        raise CoreError(f"The download of {file.url} broke off at {done} of {total} bytes.", _REMEDY)
    return partial.replace(whole)


_REMEDY = "Check the connection and try again (it goes on where it stopped), or choose a local ONNX file."


def _announced(answer: http.client.HTTPResponse, done: int, file: ModelFile, largest: int) -> int:
    """Size of the whole file by the server's word, 0 if it says none; held against the limit and the card."""
    length = answer.headers.get("Content-Length", "")
    total = done + int(length) if length.isdigit() else 0
    if total > largest:
        raise _too_large(file.url, largest)
    if total and file.bytes and not file.member and total != file.bytes:
        raise CoreError(
            f"{file.url} offers {total} bytes, the model card says {file.bytes}.",
            "The file was changed at its source: choose a local ONNX file, or another model.",
        )
    return total


def _check_address(url: str, fetching: DownloadPolicy) -> None:
    parts = urlsplit(url)
    local = fetching.loopback_http and parts.scheme == "http" and parts.hostname in _LOOPBACK
    if parts.scheme != "https" and not local:
        raise CoreError(f"{url} is not an https address.", "Models are fetched over https only: choose a local file.")


class _StayHttps(urllib.request.HTTPRedirectHandler):
    """Follows a redirect only to an address that may be fetched itself."""

    def __init__(self, fetching: DownloadPolicy) -> None:
        self._fetching = fetching

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _check_address(newurl, self._fetching)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(fetching: DownloadPolicy) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_StayHttps(fetching))


def _unpack(file: ModelFile, download: Path, target: Path, largest: int) -> None:
    """Puts the model of a download at `target`: the one member of the archive, never any other path."""
    with replacing(target) as temporary:
        if not file.member:
            shutil.copyfile(download, temporary)
            return
        try:
            with zipfile.ZipFile(download) as archive:
                info = _member(archive, file)
                if info.file_size > largest:
                    raise _too_large(f"{file.member} in {file.url}", largest)
                with archive.open(info) as source, temporary.open("wb") as out:
                    shutil.copyfileobj(source, out, _BLOCK)
        except zipfile.BadZipFile as error:
            raise CoreError(
                f"What {file.url} sent is not a zip archive.", "Try again, or choose a local file."
            ) from error


def _member(archive: zipfile.ZipFile, file: ModelFile) -> zipfile.ZipInfo:
    """The archive's entry that ends in the card's member path; publishers nest it in dated folders."""
    wanted = PurePosixPath(file.member)
    depth = len(wanted.parts)
    found = [i for i in archive.infolist() if PurePosixPath(i.filename).parts[-depth:] == wanted.parts]
    if len(found) != 1:
        raise CoreError(
            f"The archive from {file.url} has {len(found)} files named {file.member}, expected one.",
            "Unpack it yourself and choose the ONNX file.",
        )
    return found[0]


def _too_large(what: str, largest: int) -> CoreError:
    return CoreError(f"{what} is larger than {largest / 1e6:.0f} MB.", "This is no 2D pose model: choose another.")
