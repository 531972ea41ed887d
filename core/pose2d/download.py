"""Files of a model card on this machine: shipped with the program, chosen by the user, or downloaded with consent.

Downloads are stored in the user's cache folder, one folder per card. An interrupted download is resumed. Only https is
used, and a file is accepted if its SHA-256 matches the card. If a publisher states none, the hash of the first download
is stored and checked at every later use (trust on first use), and reported in a note. Download libraries lack resuming,
consent and licences, hence this implementation.
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

from core.disk import replacing
from core.errors import CoreError
from core.files import read_json, resource, sha256, write_json
from core.pose2d.cards import ModelCard, ModelFile
from core.progress import Reporter, check

MAX_BYTES = 2 << 30
_BLOCK = 1 << 18
_TIMEOUT_S = 30.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadPolicy:
    """Rules for downloads.

    Attributes:
        allowed: True if the user has consented to downloads.
        cache: Folder of downloaded models; None for the user's cache folder.
        loopback_http: True if plain HTTP to this computer is allowed, for mirrors and tests.
        max_bytes: Maximum size of a download and of an unpacked file.
    """

    allowed: bool = False
    cache: Path | None = None
    loopback_http: bool = False
    max_bytes: int = MAX_BYTES

    @property
    def folder(self) -> Path:
        """Folder of downloaded models."""
        return self.cache or platformdirs.user_cache_path("selfpose-studio") / "models"


def model_files(card: ModelCard, chosen: str, policy: DownloadPolicy, reporter: Reporter) -> dict[str, Path]:
    """Return the paths of the ONNX files of a card by role, downloading missing ones.

    Args:
        card: Model card.
        chosen: Local replacement of a download: an ONNX file for the role "pose", or a folder with `<role>.onnx` for
            some or all roles; empty for none.
        policy: Consent and cache.
        reporter: Receives the progress of downloads.

    Raises:
        CoreError: A file is missing and downloads are not allowed, a download failed, or a file does not match the
            card.
    """
    local = _local(card, chosen)
    return {
        file.role: local.get(file.role) or _embedded(file) or _downloaded(card, file, policy, reporter)
        for file in card.files
    }


def bytes_to_download(card: ModelCard, policy: DownloadPolicy) -> int | None:
    """Return the number of bytes to download before the model can run, or None if a size is unknown."""
    sizes = [f.bytes for f in card.files if not f.resource and not _cached_path(card, f, policy).is_file()]
    return None if any(s is None for s in sizes) else sum(s or 0 for s in sizes)


def _local(card: ModelCard, chosen: str) -> Mapping[str, Path]:
    if not chosen:
        return {}
    path = Path(chosen).expanduser()
    if path.is_dir():
        found = {f.role: path / f"{f.role}.onnx" for f in card.files if (path / f"{f.role}.onnx").is_file()}
        if not found:
            names = " and ".join(f"{f.role}.onnx" for f in card.files)
            raise CoreError(f"The folder {path} contains no model files.", f"Put {names} of {card.title} into it.")
        return found
    if not path.is_file():
        raise CoreError(f"The model file {path} does not exist.", f"Choose the ONNX file of {card.title}.")
    return {"pose": path}


def _embedded(file: ModelFile) -> Path | None:
    if not file.resource:
        return None
    path = resource(*PurePosixPath(file.resource).parts)
    if not path.is_file() or (file.sha256 and sha256(path) != file.sha256):
        raise CoreError(
            f"The model {path.name}, which ships with the program, is missing or damaged.", "Reinstall the program."
        )
    return path


def _cached_path(card: ModelCard, file: ModelFile, policy: DownloadPolicy) -> Path:
    return policy.folder / card.name / f"{file.role}.onnx"


def _downloaded(card: ModelCard, file: ModelFile, policy: DownloadPolicy, reporter: Reporter) -> Path:
    path = _cached_path(card, file, policy)
    record = path.with_suffix(".json")
    if path.is_file() and record.is_file():
        return _verify_cached(path, file.sha256 or str(read_json(record).get("sha256", "")))
    if not policy.allowed:
        size = f" ({file.bytes / 1e6:.0f} MB)" if file.bytes else ""
        raise CoreError(
            f"The {file.role} model of {card.title} must be downloaded from {file.url}{size}. Licence: {card.licence}",
            "Allow the download (allow_download), choose a local ONNX file (model_file), or use movenet_multipose, "
            "which ships with the program.",
        )
    download = _download(file, path.parent, policy, reporter, f"Downloading {card.title}, {file.role}")
    try:
        _unpack(file, download, path, policy.max_bytes)
    finally:
        # Unpacked or invalid, so the next attempt must not find it.
        download.unlink()
    digest = _verify_new(path, card, file, reporter)
    downloaded = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(record, {"url": file.url, "sha256": digest, "bytes": path.stat().st_size, "downloaded": downloaded})
    return path


def _verify_cached(path: Path, expected: str) -> Path:
    """Return a cached file after checking that it has not changed since the download."""
    if sha256(path) != expected:
        raise CoreError(
            f"{path} has changed since it was downloaded: its SHA-256 differs.",
            "Delete it to download it again. If you replaced it on purpose, choose it as a local model file instead.",
        )
    return path


def _verify_new(path: Path, card: ModelCard, file: ModelFile, reporter: Reporter) -> str:
    """Return the SHA-256 of a new file after checking it against the card; report it if the card states none."""
    digest = sha256(path)
    if file.sha256 and digest != file.sha256:
        path.unlink()
        raise CoreError(
            f"The file from {file.url} is not the model on the card: its SHA-256 is {digest}.",
            "Try again. If the error persists, the file was changed at its source: do not use it.",
        )
    if not file.sha256:
        reporter.note(
            f"The publisher of {card.title} states no hash of its {file.role} model: the first download is trusted; "
            f"its SHA-256 {digest} is checked at every later use."
        )
    return digest


def _download(file: ModelFile, folder: Path, policy: DownloadPolicy, reporter: Reporter, text: str) -> Path:
    """Download `file.url` to `<role>.download`, resuming from the `<role>.partial` of an earlier attempt."""
    _check_address(file.url, policy)
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
        with _opener(policy).open(request, timeout=_TIMEOUT_S) as response:
            if done and response.status != http.HTTPStatus.PARTIAL_CONTENT:
                done = 0  # the server does not support ranges: restart
            total = _expected_bytes(response, done, file, policy.max_bytes)
            with partial.open("ab" if done else "wb") as out:
                while block := response.read(_BLOCK):
                    done += len(block)
                    if done > policy.max_bytes:
                        raise _too_large(file.url, policy.max_bytes)
                    out.write(block)
                    reporter.progress(done, max(total, done), text)
                    check(reporter)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            partial.unlink(missing_ok=True)
        raise CoreError(f"The download of {file.url} failed: HTTP {error.code} {error.reason}.", _REMEDY) from error
    except (OSError, http.client.HTTPException) as error:
        raise CoreError(f"The download of {file.url} failed: {error}.", _REMEDY) from error
    if total and done != total:
        raise CoreError(f"The download of {file.url} was interrupted after {done} of {total} bytes.", _REMEDY)
    return partial.replace(whole)


_REMEDY = "Check the connection and try again (the download resumes), or choose a local ONNX file."


def _expected_bytes(response: http.client.HTTPResponse, done: int, file: ModelFile, max_bytes: int) -> int:
    """Return the total file size stated by the server after checking it; 0 if unknown."""
    length = response.headers.get("Content-Length", "")
    total = done + int(length) if length.isdigit() else 0
    if total > max_bytes:
        raise _too_large(file.url, max_bytes)
    if total and file.bytes and not file.member and total != file.bytes:
        raise CoreError(
            f"{file.url} has {total} bytes, expected {file.bytes} from the model card.",
            "The file was changed at its source: choose a local ONNX file, or another model.",
        )
    return total


def _check_address(url: str, policy: DownloadPolicy) -> None:
    parts = urlsplit(url)
    local = policy.loopback_http and parts.scheme == "http" and parts.hostname in _LOOPBACK
    if parts.scheme != "https" and not local:
        raise CoreError(
            f"{url} is not an https address.", "Models are downloaded over https only: choose a local file."
        )


class _StayHttps(urllib.request.HTTPRedirectHandler):
    """Redirect handler that checks the target of every redirect."""

    def __init__(self, policy: DownloadPolicy) -> None:
        self._policy = policy

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        _check_address(newurl, self._policy)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(policy: DownloadPolicy) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_StayHttps(policy))


def _unpack(file: ModelFile, download: Path, target: Path, max_bytes: int) -> None:
    """Move the model of a download to `target`; from an archive, extract only the member named on the card."""
    with replacing(target) as temporary:
        if not file.member:
            shutil.copyfile(download, temporary)
            return
        try:
            with zipfile.ZipFile(download) as archive:
                info = _member(archive, file)
                if info.file_size > max_bytes:
                    raise _too_large(f"{file.member} in {file.url}", max_bytes)
                with archive.open(info) as source, temporary.open("wb") as out:
                    shutil.copyfileobj(source, out, _BLOCK)
        except zipfile.BadZipFile as error:
            raise CoreError(
                f"The file from {file.url} is not a zip archive.", "Try again, or choose a local file."
            ) from error


def _member(archive: zipfile.ZipFile, file: ModelFile) -> zipfile.ZipInfo:
    """Return the archive entry whose path ends with that of the member, because publishers nest it in dated folders."""
    wanted = PurePosixPath(file.member)
    depth = len(wanted.parts)
    found = [i for i in archive.infolist() if PurePosixPath(i.filename).parts[-depth:] == wanted.parts]
    if len(found) != 1:
        raise CoreError(
            f"The archive from {file.url} has {len(found)} files named {file.member}, expected one.",
            "Unpack it by hand and choose the ONNX file.",
        )
    return found[0]


def _too_large(name: str, max_bytes: int) -> CoreError:
    return CoreError(
        f"{name} is larger than {max_bytes / 1e6:.0f} MB.", "Choose another file: 2D pose models are smaller."
    )
