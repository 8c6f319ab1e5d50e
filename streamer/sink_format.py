"""Output containers: which there are, how they are written, and what each can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from engines.errors import SinkError
from streamer.media_info import MediaInfo

__all__ = ["PUBLISHED", "OutputFormat", "SinkOptions", "output_format", "start_shift"]

# Later starts than this become an empty edit in MP4, which players show as a blank screen.
_LATEST_START_S = 10


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """How the output is encoded and written.

    Attributes:
        codec: "h264" or "hevc".
        preset: speed of the encoder, from "ultrafast" to "veryslow".
        crf: quality; lower is better and larger, 18 is visually lossless, 23 is small.
        keyframe_interval_s: longest distance of key frames; a crash costs at most this much.
        encoder_threads: threads of the encoder, 0 to choose.
        overwrite: whether an existing output may be replaced.
        keep_metadata: keep all header texts, with places and names of people, not only the title.
    """

    codec: Literal["h264", "hevc"] = "h264"
    preset: str = "ultrafast"
    crf: float = 20.0
    keyframe_interval_s: float = 2.0
    encoder_threads: int = 0
    overwrite: bool = False
    keep_metadata: bool = False


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """One kind of output container.

    Attributes:
        name: FFmpeg's name of the muxer.
        label: name for messages.
        keeps_matrix: whether it can say that the picture is to be turned.
        codecs: codecs that can be copied into it; None asks FFmpeg.
        chapters: whether it can hold chapters.
        late_start: whether a start long after zero does no harm.
    """

    name: str
    label: str
    keeps_matrix: bool
    codecs: frozenset[str] | None
    chapters: bool
    late_start: bool

    def muxer_options(self, info: MediaInfo | None) -> dict[str, str]:
        """Options for FFmpeg's muxer, so that what is written survives a crash.

        Args:
            info: facts about the source; None for an output that is sent and not kept.
        """
        if info is None:
            # Everything comes in order, so nothing is gained by waiting for the other streams.
            return {"flush_packets": "1", "max_interleave_delta": "1"}
        # A subtitle stream may be silent for long; do not hold the other streams back for it.
        options = {"flush_packets": "1", "max_interleave_delta": "1000000"}
        if self.name in ("mp4", "mov"):
            # delay_moov: the index is written with the first fragment, when the starts of all
            # streams are known, so that late and negative starts get their edit list.
            options["movflags"] = "frag_keyframe+delay_moov+default_base_moof"
            options["video_track_timescale"] = str(info.time_base.denominator)
            options["movie_timescale"] = str(_movie_timescale(info))
            options["write_tmcd"] = "0"
        elif self.name == "matroska":
            options["avoid_negative_ts"] = "disabled"
        elif self.name == "mpegts":
            # Without it FFmpeg moves all times.
            options["mpegts_copyts"] = "1"
        return options


def _movie_timescale(info: MediaInfo) -> int:
    """Units a second for edit lists: such that all streams start where they should, exactly."""
    bases = [info.time_base, *(stream.time_base for stream in info.copy_streams)]
    exact = math.lcm(*(base.denominator for base in bases))
    return exact if exact < 1 << 31 else min(info.time_base.denominator, (1 << 31) - 1)


_TS_CODECS = frozenset(
    {
        "aac", "aac_latm", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "ac3", "eac3",
        "dca", "truehd", "opus", "libopus", "dvbsub", "dvb_subtitle", "libzvbi_teletextdec",
        "dvb_teletext", "scte_35",
    }
)  # fmt: skip
_MP4 = OutputFormat("mp4", "MP4", True, None, True, False)
_MOV = OutputFormat("mov", "MOV", True, None, True, False)
_MKV = OutputFormat("matroska", "Matroska", True, None, True, True)
_TS = OutputFormat("mpegts", "MPEG-TS", False, _TS_CODECS, False, True)
_BY_SUFFIX = {".mp4": _MP4, ".m4v": _MP4, ".mov": _MOV, ".mkv": _MKV, ".ts": _TS, ".m2ts": _TS}

_RTP_CODECS = frozenset(
    {
        "aac", "ac3", "adpcm_g722", "libopus", "mp2", "mp2float", "mp3", "mp3float", "opus",
        "pcm_alaw", "pcm_mulaw", "pcm_s16be",
    }
)  # fmt: skip
_FLV_CODECS = frozenset({"aac", "mp3", "mp3float"})
_RTSP = OutputFormat("rtsp", "RTSP", False, _RTP_CODECS, False, True)
_RTMP = OutputFormat("flv", "RTMP", False, _FLV_CODECS, False, True)
# What can be published to, by the scheme of the address.
PUBLISHED = {"rtsp": _RTSP, "rtsps": _RTSP, "rtmp": _RTMP, "rtmps": _RTMP, "udp": _TS}


def output_format(path: Path) -> OutputFormat:
    """The container that the name of the output asks for.

    Raises:
        SinkError: the extension is not one of ours.
    """
    found = _BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        known = ", ".join(_BY_SUFFIX)
        raise SinkError(
            f"{path}: no output format for {path.suffix or 'no extension'}; use {known}"
        )
    return found


def start_shift(info: MediaInfo, output: OutputFormat) -> int:
    """How much to add to every pts, in units of `info.time_base`.

    Zero as a rule. Positive where the video starts before zero, which no container can say without
    hiding those frames; negative where it starts so late that players would show a blank screen.
    """
    start_s = info.start_pts * info.time_base
    earliest_s = start_s if info.container_start_s is None else info.container_start_s
    if start_s < 0:
        return -(min(earliest_s, start_s) // info.time_base)
    if not output.late_start and earliest_s > _LATEST_START_S:
        return -(min(earliest_s, start_s) // info.time_base)
    return 0


def shifted(time: int, shift: int, shift_base: Fraction, time_base: Fraction) -> int:
    """A time in `time_base` units, moved by a shift that is in `shift_base` units."""
    return time + round(shift * shift_base / time_base)
