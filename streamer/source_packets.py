"""Coded packets of a video file, for checking it against a key log; decodes nothing."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from engines.errors import SourceOpenError
from streamer.key_log_records import VideoDigest
from streamer.video_digest import SegmentDigester, nal_length_size

__all__ = ["digest_video"]


def digest_video(path: Path) -> tuple[tuple[VideoDigest, ...], Fraction]:
    """Digests of all segments of a file's first video stream, and its time base.

    Raises:
        SourceOpenError: the file cannot be read, or has no video.
    """
    segments: list[VideoDigest] = []
    try:
        with av.open(f"file:{path}") as container:
            if not container.streams.video:
                raise SourceOpenError(f"{path}: no video stream")
            stream = container.streams.video[0]
            codec, extradata = stream.codec_context.name, stream.codec_context.extradata or b""
            digester = SegmentDigester(codec, length_size=nal_length_size(codec, extradata))
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None:
                    done = digester.add(packet.pts, bytes(packet), is_keyframe=packet.is_keyframe)
                    segments += [done] if done else []
            time_base = stream.time_base or Fraction(1, 1000)
    except av.FFmpegError as exc:
        raise SourceOpenError(f"{path}: {exc.strerror}") from None
    last = digester.finish()
    segments += [last] if last else []
    return tuple(segments), Fraction(time_base.numerator, time_base.denominator)
