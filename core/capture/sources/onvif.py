"""ONVIF: discovery of network cameras and of the addresses of their streams.

Cameras answer a multicast probe (WS-Discovery) with the address of their web service, which reports that of the stream.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import select
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

import psutil

from core.capture.source import FoundCamera, Source, SourceOptions
from core.capture.sources.ffmpeg import connection_hint, error_reason
from core.capture.sources.network import KIND as NETWORK
from core.documents.syntax import parse_xml
from core.errors import CoreError
from core.passwords import with_password, without_passwords

SCHEME = "onvif"
_GROUP = ("239.255.255.250", 3702)
_ANSWERS_S = 0.7
_TIMEOUT_S = 5.0
_MAX_BYTES = 1 << 20
_CLOCK = ("Year", "Month", "Day", "Hour", "Minute", "Second")
_PROBE = """<?xml version="1.0" encoding="UTF-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:n="http://www.onvif.org/ver10/network/wsdl"><e:Header>
<a:MessageID>uuid:{id}</a:MessageID><a:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To>
<a:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action></e:Header>
<e:Body><d:Probe><d:Types>n:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"""
_REQUEST = """<?xml version="1.0" encoding="UTF-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope">{header}<e:Body>{body}</e:Body></e:Envelope>"""
_SECURITY = """<e:Header><s:Security xmlns:s="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
 xmlns:u="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"><s:UsernameToken>
<s:Username>{user}</s:Username><s:Password
 Type="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest">{digest}</s:Password>
<s:Nonce>{nonce}</s:Nonce><u:Created>{created}</u:Created></s:UsernameToken></s:Security></e:Header>"""
_DEVICE, _MEDIA = "http://www.onvif.org/ver10/device/wsdl", "http://www.onvif.org/ver10/media/wsdl"


class OnvifCameras:
    """Network cameras that report the address of their stream; see `core.capture.source.SourceKind`."""

    title = "Network camera (ONVIF)"
    example = "onvif://host"
    simulated = False

    def accepts(self, address: str) -> bool:
        """Return whether an address begins with `onvif://`."""
        return address.lower().startswith(f"{SCHEME}://")

    def discover(self) -> list[FoundCamera]:
        """Probe the local networks, and return the cameras that answer."""
        with contextlib.ExitStack() as stack:
            sockets = []
            for address in _own_addresses():
                with contextlib.suppress(OSError):  # the network is down, or has no multicast
                    asking = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
                    asking.sendto(_PROBE.format(id=uuid.uuid4()).encode(), _GROUP)
                    sockets.append(asking)
            found: dict[str, FoundCamera] = {}
            deadline = time.monotonic() + _ANSWERS_S
            while sockets and (left := deadline - time.monotonic()) > 0:
                for answered in select.select(sockets, [], [], left)[0]:
                    with contextlib.suppress(OSError, CoreError, UnicodeDecodeError):
                        for camera in cameras_in(answered.recv(1 << 16).decode()):
                            found[camera.address] = camera
        return list(found.values())

    def open(self, address: str, options: SourceOptions) -> Source:
        """Connect to the main stream of a camera."""
        return NETWORK.open(stream_address(with_password(address)), options)


KIND = OnvifCameras()


def cameras_in(answer: str) -> list[FoundCamera]:
    """Return the cameras in an answer to a probe.

    Raises:
        CoreError: The answer is not valid XML.
    """
    found = []
    for match in _all(parse_xml(answer, "the answer of a camera"), "ProbeMatch"):
        scopes = [urllib.parse.unquote(scope) for scope in _text(match, "Scopes").split()]
        name = next((scope.rpartition("/")[2] for scope in scopes if "/name/" in scope), "ONVIF camera")
        for service in _text(match, "XAddrs").split():
            parts = urllib.parse.urlsplit(service)
            if parts.scheme == "http" and parts.hostname and ":" not in parts.hostname:
                camera = f"{SCHEME}://{parts.netloc.rpartition('@')[2]}{parts.path}"
                found.append(FoundCamera(address=camera, title=f"{name[:40]} ({parts.hostname})"))
                break
    return found


def stream_address(address: str) -> str:
    """Request the address of a camera's main stream.

    Args:
        address: `onvif://user:password@host:port/path`; the path may be omitted.

    Returns:
        The stream's address, with user and password.

    Raises:
        CoreError: The camera does not respond, or refuses the request.
    """
    camera = _OnvifCamera(address)
    media = camera.media_service()
    profiles = [p for p in _all(camera.ask(media, f'<GetProfiles xmlns="{_MEDIA}"/>'), "Profiles") if p.get("token")]
    if not profiles:
        raise CoreError(f"{camera.shown} has no video.", "Create a profile on the camera's web page.")
    token = escape(max(profiles, key=_pixels).get("token", ""), {'"': "&quot;"})
    setup = (
        '<StreamSetup><Stream xmlns="http://www.onvif.org/ver10/schema">RTP-Unicast</Stream>'
        '<Transport xmlns="http://www.onvif.org/ver10/schema"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
    )
    body = f'<GetStreamUri xmlns="{_MEDIA}">{setup}<ProfileToken>{token}</ProfileToken></GetStreamUri>'
    uri = urllib.parse.urlsplit(_text(camera.ask(media, body), "Uri"))
    if uri.scheme not in ("rtsp", "rtsps", "http") or not uri.hostname:
        raise CoreError(f"{camera.shown} names no stream.", "Enter the address of its stream instead: rtsp://…")
    return camera.with_user(uri)


class _OnvifCamera:
    """ONVIF web service of a camera."""

    def __init__(self, address: str) -> None:
        parts = urllib.parse.urlsplit(address)
        self.shown = without_passwords(address)
        self._login, at, self._host = parts.netloc.rpartition("@")
        self._user, self._password = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
        self._device = f"http://{self._host}{parts.path if len(parts.path) > 1 else '/onvif/device_service'}"
        known = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        known.add_password(None, f"http://{self._host}/", self._user, self._password)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPDigestAuthHandler(known)
        )
        self._ahead = timedelta()
        if at:
            self._ahead = self._clock_ahead()

    def with_user(self, uri: urllib.parse.SplitResult) -> str:
        """Return an address reported by the camera, with user and password, and the host that reached the camera."""
        host = f"{self._host.partition(':')[0]}:{uri.port}" if uri.port else self._host.partition(":")[0]
        return urllib.parse.urlunsplit(uri._replace(netloc=f"{self._login}@{host}" if self._login else host))

    def media_service(self) -> str:
        """Return the address of the media service."""
        answer = self.ask(
            self._device, f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>'
        )
        media = next((_text(found, "XAddr") for found in _all(answer, "Media")), "")
        path = urllib.parse.urlsplit(media).path
        return f"http://{self._host}{path}" if path else self._device

    def ask(self, service: str, body: str, *, login: bool = True) -> Element:
        """Send a request, and return the response.

        Raises:
            CoreError: The camera does not respond, or refuses the request.
        """
        header = self._security() if login and self._login else ""
        data = _REQUEST.format(header=header, body=body).encode()
        request = urllib.request.Request(service, data, {"Content-Type": "application/soap+xml; charset=utf-8"})
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as response:
                answer = response.read(_MAX_BYTES).decode("utf-8", errors="replace")
        except urllib.error.HTTPError as error:
            with error:
                refused = error.code in (401, 403) or b"NotAuthorized" in error.read(_MAX_BYTES)
            hint = f"Enter user and password: {SCHEME}://user:password@{self._host}"
            other = "Check that ONVIF is switched on, or enter the address of its stream: rtsp://…"
            raise CoreError(
                f"{self.shown} refuses: {'user or password is wrong' if refused else f'error {error.code}'}.",
                hint if refused else other,
            ) from error
        except (OSError, ValueError, urllib.error.URLError) as error:
            cause = getattr(error, "reason", error)
            cause = cause if isinstance(cause, Exception) else error
            raise CoreError(f"{self.shown} cannot be opened: {error_reason(cause)}.", connection_hint(cause)) from error
        return parse_xml(answer, f"the answer of {self.shown}")

    def _clock_ahead(self) -> timedelta:
        """Return the camera's clock minus this computer's, since cameras refuse requests with a wrong time."""
        answer = self.ask(self._device, f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>', login=False)
        utc = next(iter(_all(answer, "UTCDateTime")), None)
        try:
            stamp = "{}-{}-{} {}:{}:{}".format(*(_text(utc, field) for field in _CLOCK)) if utc is not None else ""
            theirs = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
        except ValueError:
            return timedelta()
        return theirs - datetime.now(UTC)

    def _security(self) -> str:
        nonce = secrets.token_bytes(16)
        created = (datetime.now(UTC) + self._ahead).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = hashlib.sha1(nonce + created.encode() + self._password.encode()).digest()  # required by the standard
        encoded = (base64.b64encode(part).decode() for part in (digest, nonce))
        shown_digest, shown_nonce = encoded
        return _SECURITY.format(user=escape(self._user), digest=shown_digest, nonce=shown_nonce, created=created)


def _own_addresses() -> list[str]:
    """Return the IPv4 addresses of this computer."""
    return [
        one.address
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family == socket.AF_INET and not one.address.startswith("127.")
    ]


def _all(element: Element, name: str) -> list[Element]:
    """Return the elements with a name in any namespace."""
    return [found for found in element.iter() if found.tag.rpartition("}")[2] == name]


def _text(element: Element, name: str) -> str:
    return next(((found.text or "").strip() for found in _all(element, name)), "")


def _pixels(profile: Element) -> int:
    """Return the number of pixels of a profile's images."""
    size = next(iter(_all(profile, "Resolution")), None)
    try:
        return int(_text(size, "Width")) * int(_text(size, "Height")) if size is not None else 0
    except ValueError:
        return 0
