"""From what was asked for to the outputs of a live job: files, addresses and names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engines.errors import ConfigError
from streamer.camera_snapshot import SinkHealth
from streamer.config import AppConfig
from streamer.credentials import with_credentials
from streamer.live_request import LiveRequest
from streamer.media_info import Notices
from streamer.pieces import PieceNames, PiecePattern, Retention
from streamer.redact import is_url, redact_url
from streamer.sink_items import OutputTarget
from streamer.sink_live import LiveSink
from streamer.sink_publish import PublishOptions, make_publisher
from streamer.sink_record import Recorder
from streamer.sink_worker import OutputWorker, WorkerOptions

__all__ = ["OutputPlan", "open_outputs", "plan_outputs"]

_KEY_LOG_TAIL = ".vskl"


@dataclass(frozen=True, slots=True)
class OutputPlan:
    """What a request comes down to, checked before anything is opened.

    Attributes:
        files: recordings.
        urls: addresses to publish to, with their credentials.
        key_logs: where the key logs go; None when there are none.
        names: labels of the pieces.
        shared_log: one key log for all pieces.
    """

    files: tuple[PiecePattern, ...]
    urls: tuple[str, ...]
    key_logs: PiecePattern | None
    names: PieceNames
    shared_log: bool


def plan_outputs(request: LiveRequest, config: AppConfig) -> OutputPlan:
    """Sort out what goes where.

    Raises:
        ConfigError: nothing to write, no place for the key log, or options that do not fit.
    """
    output = config.output
    files = tuple(PiecePattern(Path(out)) for out in request.outs if not is_url(out))
    urls = tuple(with_credentials(out, output.credentials) for out in request.outs if is_url(out))
    if not files and not urls:
        raise ConfigError("a camera needs at least one output")
    if len({*files, *urls}) != len(files) + len(urls):
        raise ConfigError("the same output was given twice")
    if output.shared_keylog and any(one.path.suffix.lower() != ".mkv" for one in files):
        raise ConfigError("output.shared_keylog needs .mkv files; others begin at zero each time")
    key_logs = None
    if not config.keylog.irreversible:
        key_logs = _key_logs(request, files)
    is_segmented = output.segment_s is not None
    patterns = files if key_logs is None or output.shared_keylog else (*files, key_logs)
    names = PieceNames(patterns, is_segmented=is_segmented, keeps_old=request.goes_on)
    return OutputPlan(files, urls, key_logs, names, output.shared_keylog)


def _key_logs(request: LiveRequest, files: tuple[PiecePattern, ...]) -> PiecePattern:
    if request.keylog is not None:
        return PiecePattern(request.keylog)
    if not files:
        raise ConfigError("publishing without a recording: say where the key log goes (--keylog)")
    return PiecePattern(files[0].path, _KEY_LOG_TAIL)


def open_outputs(
    plan: OutputPlan,
    request: LiveRequest,
    config: AppConfig,
    sink: LiveSink,
    *,
    source_name: str,
    notices: Notices,
    on_health: Callable[[str, SinkHealth], None],
    now: Callable[[], float],
) -> dict[str, OutputWorker]:
    """Start a worker for each output; none of them is open yet.

    Args:
        plan: what there is to open.
        request: whether files may be replaced.
        config: time-outs, buffers and retention.
        sink: is asked for key frames and new pieces.
        source_name: the input, which must not be overwritten.
        notices: takes what cannot be kept.
        on_health: told how each output is.
        now: monotonic clock in seconds.

    Raises:
        ConfigError: an address cannot be published to.
        SinkError: no such file format.
    """
    output = config.output
    targets: dict[str, OutputTarget] = {}
    for number, pattern in enumerate(plan.files):
        key_log = plan.key_logs if number == 0 and not plan.shared_log else None
        targets[str(pattern.path)] = Recorder(
            pattern, key_log=key_log, source_name=source_name, overwrite=request.overwrite,
            retention=Retention(output.keep_age_s, output.keep_bytes), notices=notices,
        )  # fmt: skip
    connection = PublishOptions(
        output.timeout_s, output.rtsp_transport, output.tls_verify, output.ca_file
    )
    for url in plan.urls:
        targets[redact_url(url)] = make_publisher(url, options=connection, notices=notices)
    return {
        name: OutputWorker(
            name, target, options=_limits(config, target),
            ask_cut=sink.ask_cut, ask_key=sink.ask_key, on_health=on_health, now=now,
        )
        for name, target in targets.items()
    }  # fmt: skip


def _limits(config: AppConfig, target: OutputTarget) -> WorkerOptions:
    output, is_file = config.output, target.renews == "on cut"
    return WorkerOptions(
        most_s=output.record_buffer_s if is_file else output.buffer_s,
        most_bytes=output.buffer_bytes,
        keeps_oldest=is_file,
    )
