"""Silence: packets of sound that say nothing, in the place of those that came."""

from __future__ import annotations

from typing import Final, Protocol

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.codec.context import CodecContext
from av.stream import Stream

from streamer.media_info import CopyStream

__all__ = ["Silence", "silence_for"]

_PCM: Final = {"pcm_alaw": 0xD5, "pcm_mulaw": 0xFF, "pcm_s16le": 0, "pcm_s16be": 0}
_ADTS_BYTES: Final = 7
_ADTS_SYNC: Final = b"\xff\xf0"


class Silence(Protocol):
    """Makes the silent counterpart of a packet."""

    def of(self, data: bytes) -> bytes:
        """A silent packet of the same duration."""
        ...


class _PcmSilence:
    def __init__(self, value: int) -> None:
        self._value = value

    def of(self, data: bytes) -> bytes:
        return bytes([self._value]) * len(data)


class _AacSilence:
    """AAC frames have one duration, so one silent frame serves for all."""

    def __init__(self, frame: bytes, *, has_header: bool) -> None:
        self._frame, self._has_header = frame, has_header

    def of(self, data: bytes) -> bytes:
        if not self._has_header or len(data) < _ADTS_BYTES:
            return self._frame
        # The header that came, with the new length and without a checksum.
        head, size = bytearray(data[:_ADTS_BYTES]), _ADTS_BYTES + len(self._frame)
        head[1] |= 1
        head[3] = head[3] & 0xFC | size >> 11
        head[4] = size >> 3 & 0xFF
        head[5] = head[5] & 0x1F | (size & 7) << 5
        head[6] &= 0xFC  # one frame
        return bytes(head) + self._frame


def silence_for(stream: CopyStream) -> Silence | None:
    """What makes a stream silent, None for codecs that it is not known for."""
    if stream.codec_name in _PCM:
        return _PcmSilence(_PCM[stream.codec_name])
    if stream.codec_name != "aac" or not isinstance(stream.template, Stream):
        return None
    context = stream.template.codec_context
    if not isinstance(context, AudioCodecContext):
        return None
    try:
        frame = _silent_aac(context)
    except (av.FFmpegError, ValueError):
        return None
    return _AacSilence(frame, has_header=not context.extradata)


def _silent_aac(like: AudioCodecContext) -> bytes:
    """One coded frame of silence with the rate and channels of another stream."""
    encoder = CodecContext.create("aac", "w")
    if not isinstance(encoder, AudioCodecContext):
        raise ValueError("aac is no sound")
    encoder.sample_rate, encoder.layout, encoder.format = like.sample_rate, like.layout.name, "fltp"
    encoder.open()
    coded: list[bytes] = []
    channels = like.layout.nb_channels
    for number in range(4):  # the first frames carry the encoder's delay
        silence = np.zeros((channels, encoder.frame_size or 1024), np.float32)
        frame = AudioFrame.from_ndarray(silence, format="fltp", layout=like.layout.name)
        frame.sample_rate, frame.pts = like.sample_rate, number * 1024
        coded += [bytes(packet) for packet in encoder.encode(frame)]
    return coded[-1]
