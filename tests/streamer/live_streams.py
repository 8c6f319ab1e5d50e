"""A made-up stream whose live log tests rotate, damage and read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from streamer.config import AppConfig, KeyLogConfig
from streamer.identity import IdentitySpace
from streamer.key_log import Record
from streamer.key_rotation import KeyRotation
from streamer.live_log import LiveLog
from streamer.media_info import Notices
from streamer.recipient_keys import public_text
from tests.key_log_forge import identity, make_face, make_patch

__all__ = ["FOR_OWNER", "INFO", "MODELS", "OWNER", "PASSWORD", "Stream", "Z"]

PASSWORD = b"correct horse battery staple"
MODELS: Any = SimpleNamespace(hashes=(), space=IdentitySpace(np.eye(8, dtype=np.float32)))
INFO: Any = SimpleNamespace(size_hw=(720, 1280), time_base=Fraction(1, 25), name="camera")
Z = np.eye(8, dtype=np.float32)
OWNER = identity(1)
# A password costs a quarter of a second each time.
FOR_OWNER = KeyLogConfig(min_free_mib=0, recipients=(public_text(OWNER.public),))


class Stream:
    """A live log of a made-up stream: one frame a step, track 1 all the time."""

    def __init__(
        self, folder: Path, password: bytes | None = None, *, config: KeyLogConfig | None = None
    ) -> None:
        self.rotation = KeyRotation(None)
        self.notices = Notices()
        self.path = folder / "a.mp4.vskl"
        self.log = LiveLog(
            AppConfig(keylog=config or KeyLogConfig(min_free_mib=0)),
            password, MODELS, INFO, overwrite=False, notices=self.notices,
            rotation=self.rotation, clock=lambda: 1_790_000_000.0,
        )  # fmt: skip
        self.log.begin(self.path, INFO, shift=0)
        self.pts = 0
        self.new_face = self.log.protect(1, Z[0])
        self.log.assign(1, 1)

    def run(self, frames: int, *, tracks: tuple[int, ...] = (1,)) -> None:
        for _ in range(frames):
            records: list[Record] = []
            for track in tracks:
                records += [make_face(track, pts=self.pts), make_patch(track, pts=self.pts)]
            self.log.add(records, self.pts)
            self.log.coded(self.pts, b"\0\0\1\x65" + bytes([self.pts % 256]), self.pts % 4 == 0)
            self.pts += 1
