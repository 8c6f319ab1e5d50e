"""Muxing: video and copied packets, merged by time so that memory stays flat."""

from __future__ import annotations

import io
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import av
import av.container
from av.bitstream import BitStreamFilterContext
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from streamer.frames import CopiedPacket
from streamer.media_info import CopyStream, MediaInfo, Notices
from streamer.sink_format import OutputFormat, shifted

__all__ = ["Muxer"]

_ISO = ("mp4", "mov")
_RTSP = "rtsp"
# Formats that want the header of AAC sound once, at the start, before any packet has come.
_HEADER_FIRST = ("rtsp", "flv")
# Between packets that overlap. Not one tick: the container may count in longer ones.
_LEAST_STEP_S = Fraction(1, 1000)
# The sync word of a packet of AAC sound that carries its own header.
_ADTS_STARTS = (b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9")
# Copied packets wait for the video to reach their time, but never more bytes than this.
_MOST_WAITING_BYTES = 8 << 20


@dataclass(slots=True)
class _CopyTrack:
    stream: Stream
    waiting: deque[tuple[Fraction | None, Packet[Stream]]] = field(default_factory=deque)
    last_dts: int | None = None
    is_adts: bool = False
    filter: BitStreamFilterContext | None = None


class Muxer:
    """Writes packets to one container. Not thread-safe.

    Args:
        container: the output; its video stream exists already.
        output: kind of the container.
        info: facts about the source.
        shift: what is added to all times, in units of the source video's time base.
        notices: takes what cannot be copied.
        is_live: everything comes in the order of its time and leaves at once.
    """

    def __init__(
        self,
        container: av.container.OutputContainer,
        output: OutputFormat,
        info: MediaInfo,
        *,
        shift: int,
        notices: Notices,
        is_live: bool = False,
    ) -> None:
        self._container = container
        self._is_live = is_live
        self._output = output
        self._video_time_base = info.time_base
        self._shift = shift
        self._notices = notices
        self._held: Packet[VideoStream] | Packet[Stream] | None = None
        self._last_step = (
            round(1 / (info.average_rate_hz * info.time_base)) if (info.average_rate_hz) else 1
        )
        self._waiting_bytes = 0
        self._tracks: dict[int, _CopyTrack] = {}
        for copied in info.copy_streams:
            self._add_track(copied)

    def _add_track(self, copied: CopyStream) -> None:
        allowed = self._output.codecs
        what = f"{copied.kind} stream {copied.index} ({copied.codec_name})"
        if allowed is not None and copied.codec_name not in allowed:
            self._notices.add(f"{what} is dropped: {self._output.label} cannot hold it")
            return
        if not isinstance(copied.template, Stream):
            raise TypeError("a copied stream needs the template that the source made")
        is_network = self._output.name == _RTSP  # which has no header that could be tried
        if not is_network and not _can_hold(self._output, copied.template):
            self._notices.add(f"{what} is dropped: {self._output.label} cannot hold it")
            return
        context = copied.template.codec_context
        is_adts = copied.codec_name == "aac" and context is not None and not context.extradata
        if is_adts and self._output.name in _HEADER_FIRST:
            self._notices.add(f"{what} is dropped: {self._output.label} needs its header first")
            return
        stream = self._container.add_stream_from_template(copied.template)
        stream.time_base = copied.time_base
        stream.disposition = Disposition(copied.disposition)
        if copied.language:
            stream.metadata["language"] = copied.language
        if copied.title:
            stream.metadata["title"] = copied.title
        track = self._tracks[copied.index] = _CopyTrack(stream)
        track.is_adts = is_adts
        if self._output.name in _ISO and track.is_adts:
            # Sound from MPEG-TS repeats its header in every packet, MP4 wants it once. The muxer
            # does this by itself, but not together with delay_moov (measured with FFmpeg 8).
            track.filter = BitStreamFilterContext("aac_adtstoasc", copied.template)

    def add_video(self, packets: Iterable[Packet[VideoStream] | Packet[Stream]]) -> None:
        """Write packets of the encoder.

        Each waits for its successor, because only that tells how long it lasts.
        """
        for packet in packets:
            if self._is_live:
                packet.duration = self._last_step
                self._container.mux_one(packet)
                continue
            if self._held is not None and packet.pts is not None and self._held.pts is not None:
                self._last_step = packet.pts - self._held.pts
                self._write_held(self._last_step)
            self._held = packet

    def add_copy(self, packet: CopiedPacket) -> None:
        """Queue a copied packet until the video has reached its time."""
        track = self._tracks.get(packet.stream_index)
        if track is None:
            return
        for made in self._make_packets(packet, track):
            if self._is_live:
                self._container.mux_one(made)
                continue
            time = made.dts if made.dts is not None else made.pts
            track.waiting.append((None if time is None else time * packet.time_base, made))
            self._waiting_bytes += made.size
        while self._waiting_bytes > _MOST_WAITING_BYTES:
            self._write_earliest()

    def finish(self, last_duration: int | None) -> None:
        """Write everything that still waits.

        Args:
            last_duration: how long the last frame lasts, in units of the video's time base.
        """
        self._write_held(last_duration or self._last_step)
        while self._waiting_bytes:
            self._write_earliest()

    def _write_held(self, duration: int) -> None:
        packet, self._held = self._held, None
        if packet is None or packet.pts is None:
            return
        packet.duration = duration
        self._write_due(packet.pts * self._video_time_base)
        self._container.mux_one(packet)

    def _write_due(self, until_s: Fraction) -> None:
        for track in self._tracks.values():
            while track.waiting:
                time_s = track.waiting[0][0]
                if time_s is not None and time_s > until_s:
                    break
                self._write_first(track)

    def _write_earliest(self) -> None:
        waiting = [track for track in self._tracks.values() if track.waiting]
        self._write_first(min(waiting, key=lambda track: track.waiting[0][0] or Fraction(0)))

    def _write_first(self, track: _CopyTrack) -> None:
        packet = track.waiting.popleft()[1]
        self._waiting_bytes -= packet.size
        self._container.mux_one(packet)

    def _make_packets(self, copied: CopiedPacket, track: _CopyTrack) -> list[Packet[Stream]]:
        if not copied.data or (copied.pts is None and copied.dts is None):
            return []  # no muxer takes a packet without any time
        if track.is_adts and not copied.data.startswith(_ADTS_STARTS):
            # Muxers would give up the whole file for it.
            self._notices.add(f"damaged packets of stream {copied.stream_index} are dropped")
            return []
        packet: Packet[Stream] = Packet(copied.data)
        packet.time_base = copied.time_base
        packet.pts = self._shifted(copied.pts, copied.time_base)
        packet.dts = self._shifted(copied.dts, copied.time_base)
        packet.duration = copied.duration
        packet.is_keyframe = copied.is_keyframe
        for name, data in copied.side_data:
            side_data = PacketSideData(packet_sidedata_type_from_literal(name), len(data))  # type: ignore[call-arg, arg-type] # not in the stub
            side_data.update(data)
            packet.set_sidedata(side_data)
        made = [packet] if track.filter is None else track.filter.filter(packet)
        for each in made:
            each.stream, each.time_base = track.stream, copied.time_base
            self._keep_order(each, track, copied)
        return made

    def _keep_order(self, packet: Packet[Stream], track: _CopyTrack, copied: CopiedPacket) -> None:
        """Move a packet on that is not later than the one before; a muxer would give up."""
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None:
            return
        if track.last_dts is not None and dts <= track.last_dts:
            dts = track.last_dts + math.ceil(_LEAST_STEP_S / copied.time_base)
            packet.pts = dts if packet.pts is None else max(packet.pts, dts)
            packet.dts = dts
            self._notices.add(
                f"packets of {copied.kind} stream {copied.stream_index} overlap, some were moved "
                "by a little"
            )
        track.last_dts = dts

    def _shifted(self, time: int | None, time_base: Fraction) -> int | None:
        if time is None or not self._shift:
            return time
        return shifted(time, self._shift, self._video_time_base, time_base)


def _can_hold(output: OutputFormat, template: Stream) -> bool:
    """Whether a container takes a stream; only writing a header tells for certain."""
    with av.open(io.BytesIO(), "w", format=output.name) as trial:
        try:
            trial.add_stream_from_template(template)
            trial.start_encoding()
        except (av.FFmpegError, ValueError):
            return False
    return True
