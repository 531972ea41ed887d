"""An RTSP server with test images, for the system's Python: `python3 rtsp_server.py PORT`.

`/sound/aac?FILE` and `/sound/pcmu?FILE` send a Matroska file with H.264 and PCM, its sound encoded; of PCMU, a packet a
second is lost.

Needs Debian's gir1.2-gst-rtsp-server-1.0, python3-gi and gstreamer1.0-plugins-{base,good,ugly}.
"""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - the versions are required first

IMAGES = "videotestsrc is-live=true ! video/x-raw,format=I420,width=320,height=240,framerate=25/1"
ENCODERS = {
    "h264": "x264enc tune=zerolatency key-int-max=25 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96",
    "mjpeg": "jpegenc ! rtpjpegpay name=pay0 pt=26",
}

Gst.init(None)
if any(Gst.ElementFactory.find(name) is None for name in ("x264enc", "jpegenc", "rtph264pay", "videotestsrc")):
    sys.exit("elements of GStreamer are missing")
server = GstRtspServer.RTSPServer()
server.set_service(sys.argv[1])
for path, encoder in ENCODERS.items():
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {IMAGES} ! {encoder} )")
    server.get_mount_points().add_factory(f"/{path}", factory)


def drop_packets(_factory: object, media: GstRtspServer.RTSPMedia, name: str = "pay0", one_in: int = 60) -> None:
    """Lose one packet in so many of a camera."""
    count = iter(range(1_000_000))
    kind = Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST
    pad = media.get_element().get_by_name(name).get_static_pad("src")
    drop, keep = Gst.PadProbeReturn.DROP, Gst.PadProbeReturn.OK
    pad.add_probe(kind, lambda *_: drop if next(count) % one_in == one_in - 1 else keep)


SOUND = {
    "aac": "audio/x-raw,rate=48000 ! voaacenc ! rtpmp4gpay name=pay1 pt=97",
    "pcmu": "audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay1 pt=0",
}


class PlayedFile(GstRtspServer.RTSPMediaFactory):
    """Sends the file that the client names."""

    def do_create_element(self, url: object) -> object:
        """Return the elements that read it."""
        return Gst.parse_launch(
            f"( filesrc location={url.query} ! matroskademux name=file "
            "file. ! queue ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 "
            f"file. ! queue ! decodebin ! audioconvert ! audioresample ! {SOUND[url.abspath.rpartition('/')[2]]} )"
        )


for path in SOUND:
    played = PlayedFile()
    if path == "pcmu":
        played.connect("media-configure", drop_packets, "pay1", 10)
    server.get_mount_points().add_factory(f"/sound/{path}", played)

lossy = GstRtspServer.RTSPMediaFactory()
ball = IMAGES.replace("videotestsrc", "videotestsrc pattern=ball")
encoder = "x264enc tune=zerolatency key-int-max=10 speed-preset=ultrafast ! rtph264pay mtu=200 name=pay0 pt=96"
lossy.set_launch(f"( {ball} ! {encoder} )")
lossy.connect("media-configure", drop_packets)
server.get_mount_points().add_factory("/lossy", lossy)
server.attach(None)
sys.stdout.write("ready\n")
sys.stdout.flush()
GLib.MainLoop().run()
