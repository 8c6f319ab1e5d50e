"""Opening of a job's key log: the keys of a run, and one log or several written with them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engines.errors import ConfigError
from streamer.config import AppConfig, KeyLogConfig
from streamer.job_header import make_header
from streamer.job_log import JobLog
from streamer.key_log import KeyLogHeader, KeyLogWriter, Recipient
from streamer.keys import KdfParams, KeyScope, MasterKey, derive_master_key
from streamer.media_info import MediaInfo, Notices
from streamer.models import Models
from streamer.recipient_keys import read_device
from streamer.recipient_list import recipients_of
from streamer.scope_keys import ScopeKeys
from streamer.seal_budget import SealBudget, SealGate

__all__ = [
    "RunKeys",
    "current_recipients",
    "derive_run_keys",
    "open_job_log",
    "open_log_of",
    "open_writer",
    "throwaway_master",
]

_THROWAWAY_PASSWORD_BYTES = 32


@dataclass(frozen=True, slots=True)
class RunKeys:
    """What all logs of one run have in common; they give a track the same new face.

    Attributes:
        scope_keys: rotation keys, derived with the first log's recording id.
        header: of the first log.
        master: what the password derived to, opens every log; None when only recipients may.
        has_log: False when the keys are thrown away.
    """

    scope_keys: ScopeKeys
    header: KeyLogHeader
    master: MasterKey | None = field(repr=False)
    has_log: bool

    def wipe(self) -> None:
        """Overwrite all keys."""
        self.scope_keys.wipe()
        if self.master is not None:
            self.master.wipe()


def throwaway_master(
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> MasterKey:
    """A master key of a password that nobody learns: the keys are in logs only, or nowhere."""
    return MasterKey(random_bytes(_THROWAWAY_PASSWORD_BYTES))


def derive_run_keys(
    config: AppConfig,
    password: bytes | None,
    models: Models,
    info: MediaInfo,
    *,
    clock: Callable[[], float] = time.time,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> RunKeys:
    """Derive the keys of a run.

    Args:
        config: what the log holds.
        password: opens the log; None when the configuration is irreversible, or when only the
            recipients' secret keys are to open it.
        models: the networks, for their hashes.
        info: facts about the video.
        clock: wall clock in seconds since 1970 UTC.
        random_bytes: source of the recording id, salts and throw-away passwords.

    Raises:
        ConfigError: a recipient cannot be used.
    """
    header = make_header(config, models, info, created_s=clock(), random_bytes=random_bytes)
    recipients = current_recipients(config.keylog)
    if password is None:
        master = None
        header = replace(header, kdf=None)
        scope_master = throwaway_master(random_bytes)
    else:
        master = derive_master_key(password, header.kdf or KdfParams.generate(random_bytes))
        scope_master = master
    has_log = not config.keylog.irreversible and (password is not None or bool(recipients))
    if has_log and password is None and header.scope is KeyScope.CAMERA:
        raise ConfigError("camera scope needs a password, from which its lasting key comes")
    scope_keys = ScopeKeys(scope_master, header.recording_id, header.scope)
    return RunKeys(scope_keys, header, master, has_log)


def current_recipients(config: KeyLogConfig) -> tuple[Recipient, ...]:
    """Who may open a log that begins now.

    Raises:
        ConfigError: a recipient or the list of them cannot be used.
    """
    recipients = recipients_of(config.recipients, config.recipients_file)
    if config.threshold is not None and config.threshold > len(recipients):
        raise ConfigError(
            f"keylog.threshold of {config.threshold} needs as many recipients, not "
            f"{len(recipients)}"
        )
    return recipients


def open_writer(
    keys: RunKeys,
    path: Path,
    header: KeyLogHeader,
    config: KeyLogConfig,
    *,
    recipients: Sequence[Recipient],
    overwrite: bool,
) -> KeyLogWriter:
    """Create the file of one log of a run.

    Args:
        keys: of the run.
        path: where it goes.
        header: of this log.
        config: device key and flushing.
        recipients: public keys that open it.
        overwrite: replace an existing log.

    Raises:
        ConfigError: the device key or a recipient cannot be used.
        KeyLogError: it cannot be created.
    """
    return KeyLogWriter.create(
        path,
        # The password was stretched once, with the first log's salt.
        header=replace(header, kdf=keys.header.kdf),
        master=keys.master,
        recipients=recipients,
        threshold=config.threshold,
        signer=None if config.device_key is None else read_device(config.device_key),
        overwrite=overwrite,
        flush_interval_s=config.flush_interval_s,
    )


def open_log_of(
    keys: RunKeys,
    keylog: Path,
    header: KeyLogHeader,
    config: AppConfig,
    models: Models,
    *,
    recipients: Sequence[Recipient],
    source_name: str,
    shift: int,
    overwrite: bool,
    wipes_keys: bool,
    notices: Notices,
) -> JobLog:
    """Create one log of a run.

    Args:
        keys: of the run.
        keylog: where it goes.
        header: of this log.
        config: device key and flushing.
        models: the networks, for the identity space.
        recipients: public keys that open it.
        source_name: name of the source, kept encrypted.
        shift: what the sink adds to each pts.
        overwrite: replace an existing log.
        wipes_keys: wipe the keys at its end; False when another log may follow.
        notices: told when originals cannot be kept any more.

    Raises:
        ConfigError: the device key or a recipient cannot be used.
        KeyLogError: it cannot be created.
    """
    writer, gate = None, None
    if keys.has_log:
        writer = open_writer(
            keys, keylog, header, config.keylog, recipients=recipients, overwrite=overwrite
        )
        gate = SealGate(_budget(keylog, config.keylog), notices)
    return JobLog(
        writer, keys.scope_keys, keys.header, models,
        shift=shift, source_name=source_name, wipes_keys=wipes_keys, gate=gate,
    )  # fmt: skip


def _budget(keylog: Path, config: KeyLogConfig) -> SealBudget:
    most = config.most_mib
    return SealBudget(
        keylog.parent,
        most_bytes=None if most is None else int(most * (1 << 20)),
        min_free_bytes=int(config.min_free_mib * (1 << 20)),
        stops=config.when_short == "stop",
    )


def open_job_log(
    keylog: Path,
    config: AppConfig,
    password: bytes | None,
    models: Models,
    info: MediaInfo,
    *,
    shift: int,
    notices: Notices,
    overwrite: bool = False,
) -> JobLog:
    """Derive the keys and create the key log of a job that has one.

    Args:
        keylog: where it goes.
        config: what it holds.
        password: see `derive_run_keys`.
        models: the networks, for their hashes and the identity space.
        info: facts about the video.
        shift: what the sink adds to each pts.
        notices: told when originals cannot be kept any more.
        overwrite: replace an existing log.

    Raises:
        ConfigError: a recipient or the device key cannot be used.
        KeyLogError: it cannot be created.
    """
    keys = derive_run_keys(config, password, models, info)
    return open_log_of(
        keys, keylog, keys.header, config, models, recipients=current_recipients(config.keylog),
        source_name=info.name, shift=shift, overwrite=overwrite, wipes_keys=True, notices=notices,
    )  # fmt: skip
