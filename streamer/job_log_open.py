"""Opening of a job's key log: the keys of a run, and one log or several written with them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from engines.errors import ConfigError
from streamer.config import AppConfig
from streamer.job_header import make_header
from streamer.job_log import JobLog
from streamer.key_log import KeyLogHeader, KeyLogWriter, Recipient
from streamer.keys import KdfParams, KeyScope, MasterKey, derive_master_key
from streamer.media_info import MediaInfo
from streamer.models import Models
from streamer.recipient_keys import parse_public, read_device

__all__ = ["RunKeys", "derive_run_keys", "open_job_log", "open_log_of"]

_THROWAWAY_PASSWORD_BYTES = 32


@dataclass(frozen=True, slots=True)
class RunKeys:
    """What all logs of one run have in common; they give a track the same new face.

    Attributes:
        master: key that the password derived to.
        header: of the first log; the keys of tracks are derived with its recording id.
        password: opens every log, None when only recipients may.
        recipients: public keys that open every log.
        has_log: False when the keys are thrown away.
    """

    master: MasterKey
    header: KeyLogHeader
    password: bytes | None = field(repr=False)
    recipients: tuple[Recipient, ...]
    has_log: bool


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
    kdf = header.kdf or KdfParams.generate(random_bytes)
    recipients = tuple(
        Recipient(f"recipient {number}", parse_public(text))
        for number, text in enumerate(config.keylog.recipients, start=1)
    )
    if password is None:
        # Nobody learns this password: the keys are in the log for its recipients, or nowhere.
        master = derive_master_key(random_bytes(_THROWAWAY_PASSWORD_BYTES), kdf)
        header = replace(header, kdf=None)
    else:
        master = derive_master_key(password, kdf)
    has_log = not config.keylog.irreversible and (password is not None or bool(recipients))
    if has_log and password is None and header.scope is KeyScope.CAMERA:
        raise ConfigError("camera scope needs a password, from which its lasting key comes")
    return RunKeys(master, header, password, recipients, has_log)


def open_log_of(
    keys: RunKeys,
    keylog: Path,
    header: KeyLogHeader,
    config: AppConfig,
    models: Models,
    *,
    source_name: str,
    shift: int,
    overwrite: bool,
    wipes_keys: bool,
) -> JobLog:
    """Create one log of a run.

    Args:
        keys: of the run.
        keylog: where it goes.
        header: of this log.
        config: device key and flushing.
        models: the networks, for the identity space.
        source_name: name of the source, kept encrypted.
        shift: what the sink adds to each pts.
        overwrite: replace an existing log.
        wipes_keys: forget the master key at its end; False when another log may follow.

    Raises:
        ConfigError: the device key cannot be used.
        KeyLogError: it cannot be created.
    """
    writer = None
    if keys.has_log:
        device_key = config.keylog.device_key
        writer = KeyLogWriter.create(
            keylog,
            header=header,
            password=keys.password,
            recipients=keys.recipients,
            signer=None if device_key is None else read_device(device_key),
            overwrite=overwrite,
            flush_interval_s=config.keylog.flush_interval_s,
        )
    return JobLog(
        writer, keys.master, keys.header, models,
        shift=shift, source_name=source_name, wipes_keys=wipes_keys,
    )  # fmt: skip


def open_job_log(
    keylog: Path,
    config: AppConfig,
    password: bytes | None,
    models: Models,
    info: MediaInfo,
    *,
    shift: int,
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
        overwrite: replace an existing log.

    Raises:
        ConfigError: a recipient or the device key cannot be used.
        KeyLogError: it cannot be created.
    """
    keys = derive_run_keys(config, password, models, info)
    return open_log_of(
        keys, keylog, keys.header, config, models,
        source_name=info.name, shift=shift, overwrite=overwrite, wipes_keys=True,
    )  # fmt: skip
