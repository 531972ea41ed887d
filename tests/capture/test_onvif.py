"""ONVIF against a server that checks logins as the standard says, and whose clock and address are wrong."""

from __future__ import annotations

import base64
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from core.capture.sources.onvif import KIND, cameras_in, stream_address
from core.errors import CoreError

PASSWORD, AHEAD = "p&w<1>", timedelta(hours=1)
PROFILE = (
    '<trt:Profiles token="{token}"><tt:VideoEncoderConfiguration><tt:Resolution><tt:Width>{width}</tt:Width>'
    "<tt:Height>{height}</tt:Height></tt:Resolution></tt:VideoEncoderConfiguration></trt:Profiles>"
)
ANSWER = (
    '<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:trt="http://www.onvif.org/ver10/media/wsdl">'
    "<SOAP-ENV:Body>{body}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
)
MATCH = (
    '<Envelope xmlns:w="http://schemas.xmlsoap.org/ws/2005/04/discovery"><w:ProbeMatches><w:ProbeMatch>'
    "<w:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/AXIS%20M3045</w:Scopes>"
    "<w:XAddrs>http://[fe80::1]/onvif/device_service http://192.168.0.9:81/onvif/device_service</w:XAddrs>"
    "</w:ProbeMatch></w:ProbeMatches></Envelope>"
)


class Camera(http.server.BaseHTTPRequestHandler):
    """A camera in another network's words: all addresses that it names are wrong, and its clock is an hour ahead."""

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        now = datetime.now(UTC) + AHEAD
        if "GetSystemDateAndTime" in text:
            fields = {k: getattr(now, k.lower()) for k in ("Hour", "Minute", "Second", "Year", "Month", "Day")}
            self.answer(
                "<tt:UTCDateTime>" + "".join(f"<tt:{k}>{v}</tt:{k}>" for k, v in fields.items()) + "</tt:UTCDateTime>"
            )
        elif not self.logged_in(text, now):
            self.answer("<SOAP-ENV:Fault><SOAP-ENV:Value>ter:NotAuthorized</SOAP-ENV:Value></SOAP-ENV:Fault>", 400)
        elif "GetCapabilities" in text:
            self.answer("<tt:Media><tt:XAddr>http://10.9.9.9/onvif/media</tt:XAddr></tt:Media>")
        elif "GetProfiles" in text and self.path == "/onvif/media":
            small, large = (
                {"token": "sub", "width": 640, "height": 360},
                {"token": 'ma"in', "width": 1920, "height": 1080},
            )
            self.answer(PROFILE.format(**small) + PROFILE.format(**large).replace('ma"in', "ma&quot;in"))
        elif "<ProfileToken>ma&quot;in</ProfileToken>" in text:
            self.answer("<trt:MediaUri><tt:Uri>rtsp://10.9.9.9:8554/h264?profile=1&amp;x=2</tt:Uri></trt:MediaUri>")
        else:
            self.send_error(500)

    def logged_in(self, text: str, now: datetime) -> bool:
        found = [
            re.search(rf":{name}(?:\s[^>]*)?>([^<]*)<", text) for name in ("Username", "Password", "Nonce", "Created")
        ]
        if not all(found):
            return False
        user, digest, nonce, created = (match[1] for match in found if match)
        expected = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
        late = now - datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        return user == "me" and digest == base64.b64encode(expected).decode() and abs(late) < timedelta(minutes=1)

    def answer(self, body: str, code: int = 200) -> None:
        data = ANSWER.format(body=body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the test output clean."""


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_the_main_stream_of_a_camera_is_found_where_the_camera_was_reached(camera: str) -> None:
    login = "me:p%26w%3C1%3E"
    assert stream_address(f"onvif://{login}@{camera}") == f"rtsp://{login}@127.0.0.1:8554/h264?profile=1&x=2"


@pytest.mark.parametrize("login", ["", "me:wrong@", "you:p%26w%3C1%3E@"])
def test_a_wrong_login_is_named_and_hidden(camera: str, login: str) -> None:
    with pytest.raises(CoreError, match="user or password is wrong") as refused:
        stream_address(f"onvif://{login}{camera}")
    assert "wrong@" not in refused.value.message and "onvif://user:password@" in refused.value.hint


def test_cameras_that_answer_are_listed() -> None:
    (found,) = cameras_in(MATCH)
    assert found.address == "onvif://192.168.0.9:81/onvif/device_service" and KIND.accepts(found.address)
    assert found.title == "AXIS M3045 (192.168.0.9)"
    assert cameras_in("<a/>") == []
    for hostile in ("<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "no xml", "<a>" * 100_000):
        with pytest.raises(CoreError):
            cameras_in(hostile)
