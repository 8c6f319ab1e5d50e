"""Configuration of cameras and of what becomes of their video."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from streamer.config_base import ConfigModel
from streamer.quantities import Duration, Size

__all__ = ["LiveConfig", "OutputConfig"]


class LiveConfig(ConfigModel):
    """How cameras are read."""

    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: float = Field(default=10.0, gt=0, le=300)
    read_timeout_s: float = Field(default=5.0, gt=0, le=300)
    tls_verify: bool = True
    ca_file: Path | None = None
    longest_wait_s: float = Field(default=1.0, gt=0, le=3600, description="between attempts")
    refused_wait_s: float = Field(
        default=30.0, gt=0, le=3600, description="the same while the camera refuses the login"
    )
    give_up_s: float | None = Field(default=None, gt=0, description="none: try for ever")
    credentials: str | None = Field(
        default=None,
        repr=False,
        description="env:NAME or file:PATH that holds USER:PASSWORD; instead of those in the URL",
    )
    longest_track_gap_s: float = Field(
        default=1.0, gt=0, le=60, description="a longer gap ends all tracks"
    )
    look_back_limit_s: float = Field(
        default=0.5, gt=0, le=60, description="a frame leaves after so long in any case"
    )
    stub_after_s: float | None = Field(
        default=2.0, ge=1.5, le=3600, description="a made picture after so much silence; none: no"
    )
    stub_fps: float = Field(default=2.0, gt=0, le=25)
    reuse_after_s: float | None = Field(
        default=0.08,
        ge=0,
        le=60,
        description="a frame later than that may show the last face again where nothing moved; "
        "none: never",
    )
    smaller_input: bool = Field(
        default=False,
        description="under overload the detector may get a smaller picture, and miss small faces",
    )


class OutputConfig(ConfigModel):
    """What becomes of the anonymised video of a camera."""

    segment_s: Duration | None = Field(default=None, ge=1, description="none: one file")
    keep_age_s: Duration | None = Field(default=None, gt=0, description="none: for ever")
    keep_bytes: Size | None = Field(default=None, gt=0, description="none: any size")
    shared_keylog: bool = Field(default=False, description="one log for all segments (.mkv only)")
    audio: Literal["copy", "mute", "drop"] = "copy"
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    timeout_s: float = Field(default=5.0, gt=0, le=300)
    tls_verify: bool = True
    ca_file: Path | None = None
    buffer_s: float = Field(default=3.0, gt=0, le=60, description="of each published output")
    record_buffer_s: float = Field(default=20.0, gt=0, le=300, description="of each recording")
    buffer_bytes: Size = Field(default=64_000_000, ge=1_000_000)
    credentials: str | None = Field(default=None, repr=False, description="see live.credentials")
