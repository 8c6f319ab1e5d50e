"""A real RTSP server for tests; run by the system's Python, which has GStreamer's bindings.

Usage: python3 rtsp_server.py VIDEO.mp4 PORT [USER PASSWORD] [--digest] [--tls CERT_AND_KEY.pem]
       python3 rtsp_server.py --record FILE.ts PORT [...]
Serves the H.264 (with --h265, the H.265) of the file at rtsp://127.0.0.1:PORT/camera, or takes what
is published there and writes it to a file; says "ready" when it listens.
"""

from __future__ import annotations

import argparse
import sys

import gi  # of the system, not of the project

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - versions come first

_SERVE = (
    '( filesrc location="{0}" ! qtdemux ! {1}parse config-interval=1 ! rtp{1}pay name=pay0 pt=96 )'
)
# Key frames carry their parameter sets, so that the file plays from whichever one comes first.
_RECORD = (
    "( rtph264depay name=depay0 ! h264parse config-interval=-1 ! mpegtsmux "
    '! filesink location="{}" sync=false async=false buffer-mode=unbuffered )'
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("port")
    parser.add_argument("login", nargs="*")
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--h265", action="store_true")
    parser.add_argument("--tls")
    parser.add_argument("--record", action="store_true")
    return parser.parse_args()


def _auth(args: argparse.Namespace) -> GstRtspServer.RTSPAuth:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    if args.tls:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(args.tls))
    if not args.login:
        auth.set_default_token(token)
    elif args.digest:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(*args.login, token)
    else:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*args.login), token)
    return auth


def main() -> None:
    """Serve until killed."""
    args = _arguments()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(args.port)
    factory = GstRtspServer.RTSPMediaFactory()
    codec = "h265" if args.h265 else "h264"
    factory.set_launch((_RECORD if args.record else _SERVE).format(args.file, codec))
    factory.set_shared(False)
    if args.record:
        factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    if args.login or args.tls:
        server.set_auth(_auth(args))
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_role("viewer")
        for what in ("access", "construct"):
            permissions.add_permission_for_role("viewer", f"media.factory.{what}", True)
        factory.set_permissions(permissions)
    server.get_mount_points().add_factory("/camera", factory)
    if server.attach(None) == 0:
        sys.exit("cannot listen")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
