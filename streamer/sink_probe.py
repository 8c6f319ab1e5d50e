"""What the installed FFmpeg can do, for `doctor`."""

from __future__ import annotations

from dataclasses import dataclass

import av
import av.codec
from av.codec import Codec
from av.codec.codec import UnknownCodecError

__all__ = ["CodecFacts", "codec_facts", "ffmpeg_version"]

_DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg")
_ENCODERS = ("libx264", "libx265")


@dataclass(frozen=True, slots=True)
class CodecFacts:
    """Names of codecs that are there, and of those that are not."""

    present: tuple[str, ...]
    missing: tuple[str, ...]


def ffmpeg_version() -> str:
    """Versions of PyAV and of FFmpeg's codec library."""
    codec = ".".join(str(part) for part in av.library_versions.get("libavcodec", ()))
    return f"PyAV {av.__version__}, libavcodec {codec}"


def codec_facts() -> tuple[CodecFacts, CodecFacts]:
    """Decoders and encoders that matter here."""
    return _facts(_DECODERS, "r"), _facts(_ENCODERS, "w")


def _facts(names: tuple[str, ...], mode: str) -> CodecFacts:
    present = tuple(name for name in names if _exists(name, mode))
    return CodecFacts(present, tuple(name for name in names if name not in present))


def _exists(name: str, mode: str) -> bool:
    try:
        Codec(name, "w" if mode == "w" else "r")
    except UnknownCodecError:
        return False
    return True
