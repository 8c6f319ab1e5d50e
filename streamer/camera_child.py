"""The process of one camera: runs its job, tells the supervisor how it is, and obeys it."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from typing import BinaryIO, Final

from engines.errors import AnonymizerError, ConfigError
from streamer.camera_link import decode, encode_preview, encode_status
from streamer.camera_status import CameraStatus
from streamer.child_link import NOT_BY_HAND, take_standard_output
from streamer.interrupt import StopRequest
from streamer.job_options import live_options
from streamer.live_job import LiveRequest, anonymize_live
from streamer.passwords import read_password_file
from streamer.progress import QuietProgress
from streamer.site import CameraSpec

__all__ = ["run_camera"]

_EVERY_S: Final = 1.0


class _Link:
    """Both directions. `say` may be called from any thread."""

    def __init__(
        self, commands: BinaryIO, replies: BinaryIO, status: CameraStatus, stop: StopRequest
    ) -> None:
        self._commands, self._replies = commands, replies
        self._status, self._stop = status, stop
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def start(self) -> None:
        for work in (self._obey, self._report):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()

    def end(self) -> None:
        """Say how it ended."""
        self._ended.set()
        self.say(encode_status(self._status.snapshot()))

    def say(self, line: bytes) -> None:
        with self._lock:
            try:
                self._replies.write(line)
                self._replies.flush()
            except OSError:
                # The supervisor has gone; a camera does not run without one.
                self._stop.set()

    def _obey(self) -> None:
        for line in self._commands:
            command = decode(line).get("t")
            if command == "stop":
                self._stop.set()
            elif command == "preview" and (jpeg := self._status.preview_jpeg()) is not None:
                self.say(encode_preview(jpeg))
        self._stop.set()  # its end: the supervisor has gone

    def _report(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.say(encode_status(self._status.snapshot()))


def run_camera() -> int:
    """Run the camera that standard input describes, until told to stop; returns the exit code.

    Raises:
        AnonymizerError: whatever went wrong; the supervisor starts the camera again.
    """
    commands, replies = sys.stdin.buffer, take_standard_output()
    try:
        spec = CameraSpec.from_json(commands.readline().decode())
    except ValueError:
        raise ConfigError(NOT_BY_HAND) from None
    status = CameraStatus(spec.name)
    with StopRequest() as stop:
        link = _Link(commands, replies, status, stop)
        link.start()
        try:
            _run(spec, status, stop)
            status.state("stopped")
        except AnonymizerError as exc:
            status.state("failed", str(exc))
            status.error(str(exc))
            raise
        finally:
            link.end()
    return 0


def _run(spec: CameraSpec, status: CameraStatus, stop: StopRequest) -> None:
    options = live_options(spec.config, spec.url, is_file=spec.is_file)
    request = LiveRequest(
        url=spec.url,
        outs=spec.outs,
        keylog=spec.keylog,
        # A camera that is away now comes back one day; loading the networks anew would not help.
        options=replace(options, waits=not spec.is_file),
        goes_on=True,
    )
    password = None if spec.password_file is None else read_password_file(spec.password_file)
    if spec.config.keylog.irreversible:
        password = None
    anonymize_live(
        request, spec.config, password, stop=stop, progress=QuietProgress(), status=status
    )
