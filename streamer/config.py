"""Configuration: closed pydantic models, and the loader that explains what is wrong."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError

from engines.errors import ConfigError
from engines.precision import Precision
from streamer.config_base import ConfigModel
from streamer.config_live import LiveConfig, OutputConfig
from streamer.config_rules import RulesConfig
from streamer.config_watch import WatchConfig

__all__ = [
    "CONFIGS_FOLDER",
    "AppConfig",
    "CoverConfig",
    "DetectorConfig",
    "EngineConfig",
    "IdentityConfig",
    "KeyLogConfig",
    "LiveConfig",
    "OutputConfig",
    "RulesConfig",
    "VideoConfig",
    "WatchConfig",
    "explain",
    "find_config",
    "load_config",
    "read_yaml",
]

CONFIGS_FOLDER = Path(__file__).resolve().parents[1] / "configs"


class EngineConfig(ConfigModel):
    """What runs the networks."""

    provider: Literal["auto", "cpu", "cuda", "openvino", "tensorrt"] = "auto"
    precision: Precision = Field(
        default="auto",
        description="what a CPU computes detector and generator in; auto: INT8 where it pays",
    )
    workers: int = Field(default=0, ge=0, le=64, description="render threads; 0: one per core")
    cache_folder: Path | None = Field(default=None, description="where built engines are kept")
    shared: Path | None = Field(
        default=None, description="socket of an engine server; a site with shared engines sets it"
    )


class DetectorConfig(ConfigModel):
    """How faces are found."""

    model: Path | None = Field(default=None, description="SCRFD-style ONNX; none: our own")
    long_side_px: int = Field(default=0, ge=0, le=4096, description="0: chosen by frame size")
    stride: int = Field(
        default=2, ge=1, le=16, description="files: look at every so many frames at least"
    )
    start_score: float | None = Field(default=None, gt=0, lt=1)
    continue_score: float | None = Field(default=None, gt=0, lt=1)


class CoverConfig(ConfigModel):
    """What happens to faces, and around their first and last sighting."""

    min_face_px: float = Field(default=24.0, ge=8, le=512)
    extend_before_s: float = Field(default=1.0, ge=0, le=60)
    extend_after_s: float = Field(default=1.0, ge=0, le=60)
    fallback: Literal["blur", "pixelate", "fill"] = "blur"
    most_alike: float = Field(
        default=0.33,
        gt=0,
        le=1,
        description="cosine to the original from which a synthetic face is covered instead; 1: off",
    )
    key_attempts: int = Field(
        default=4,
        ge=1,
        le=16,
        description="keys that may be tried for a new face that is not like the person; "
        "1: the first one, and where a scope shares its key",
    )
    looks_attempts: int = Field(
        default=16,
        ge=1,
        le=32,
        description="of so many keys (cameras: four) whose face is not like the person the one is "
        "taken whose face the detector is surest of; 1: looks are not compared",
    )
    recall_attempts: int = Field(
        default=12,
        ge=1,
        le=16,
        description="files whose log holds neither originals nor identities: of so many keys "
        "whose face is not like the person the one is taken from which recovery by the password "
        "brings back most; 1: none is compared",
    )
    recall_steps: int = Field(
        default=20,
        ge=0,
        le=100,
        description="the same files: how often what is drawn may be adjusted so that recovery by "
        "the password reads it better",
    )
    look_back_frames: int = Field(default=5, ge=0, le=250, description="live sources only")
    replace: bool = Field(default=True, description="False: cover every face")


class IdentityConfig(ConfigModel):
    """How the new identity follows from the old one and the password."""

    rotation: Literal["orthogonal", "reference"] = "orthogonal"
    level: int | None = Field(default=None, ge=0, le=9, description="none: a right angle")
    angle_deg: float | None = Field(default=None, gt=0, le=180)
    scope: Literal["track", "recording", "camera"] = "track"
    camera_id: str = Field(default="", max_length=200)
    people_weight: float = Field(
        default=1.0, ge=0, le=4, description="how far new identities move towards people's; 0: not"
    )
    encoder: Path | None = Field(default=None, description="ArcFace-style ONNX; none: our own")
    generator: Path | None = Field(default=None, description="manifest of a generator; none: ours")


class KeyLogConfig(ConfigModel):
    """What the key log holds."""

    seal: bool = Field(default=True, description="keep the original face regions, encrypted")
    assisted: bool = Field(default=True, description="keep the identity embedding, encrypted")
    thumbnails: bool = Field(
        default=True,
        description="where identities are kept and no originals: a picture of 40 px of each face",
    )
    irreversible: bool = Field(default=False, description="no log; the keys are thrown away")
    recipients: tuple[str, ...] = Field(
        default=(), max_length=32, description="public keys (vspub1:...) that open the log"
    )
    recipients_file: Path | None = Field(
        default=None, description="list of more, read again at each rotation of keys"
    )
    threshold: int | None = Field(
        default=None, ge=2, le=32, description="so many recipients open it together; none: each"
    )
    rotate_every_s: float | None = Field(
        default=None, gt=0, description="live: a new file key after this time, in another log"
    )
    device_key: Path | None = Field(default=None, description="file of a key that signs the log")
    retention_days: float | None = Field(
        default=None,
        gt=0,
        le=36500,
        description="from then on nobody's program opens it, and `erase --expired` removes it",
    )
    lossless: bool = Field(default=False, description="seal every bit, at about twice the size")
    most_mib: float | None = Field(
        default=None, gt=0, description="from this size of a log on no originals are sealed"
    )
    min_free_mib: float = Field(
        default=200.0, ge=0, description="with less free disk no originals are sealed"
    )
    when_short: Literal["go on", "stop"] = Field(
        default="go on", description="without originals, or stop, when one of these is reached"
    )
    unlock_s: float | None = Field(
        default=None,
        gt=0,
        le=10,
        description="let Argon2id take so long on this machine; none: 64 MiB and 3 passes",
    )
    flush_interval_s: float = Field(default=1.0, gt=0, le=60)


class VideoConfig(ConfigModel):
    """How the output is encoded."""

    codec: Literal["h264", "hevc"] = "h264"
    crf: int = Field(default=23, ge=0, le=51)
    preset: str | None = Field(default=None, pattern="^[a-z]+$")
    keyframe_interval_s: float = Field(default=2.0, gt=0, le=60)
    drop_audio: bool = False
    keep_metadata: bool = Field(
        default=False, description="copy the header texts, which may say where, when and who"
    )


class AppConfig(ConfigModel):
    """Everything a run can be told besides its source, output and password."""

    engine: EngineConfig = EngineConfig()
    detector: DetectorConfig = DetectorConfig()
    cover: CoverConfig = CoverConfig()
    identity: IdentityConfig = IdentityConfig()
    keylog: KeyLogConfig = KeyLogConfig()
    video: VideoConfig = VideoConfig()
    live: LiveConfig = LiveConfig()
    output: OutputConfig = OutputConfig()
    rules: RulesConfig = RulesConfig()
    watch: WatchConfig = WatchConfig()


def load_config(
    path: Path | None, overrides: Mapping[str, Mapping[str, Any]] | None = None
) -> AppConfig:
    """Read a YAML file and put the command line's options over it.

    Args:
        path: the file, or a shipped name such as "archive"; None reads `configs/default.yaml`.
        overrides: section -> key -> value; None values are left out.

    Raises:
        ConfigError: unreadable file, unknown key (the nearest one is suggested) or bad value.
    """
    raw = read_yaml(find_config(path))
    for section, values in (overrides or {}).items():
        given = {key: value for key, value in values.items() if value is not None}
        if given:
            present = raw.get(section)
            raw[section] = {**(present if isinstance(present, dict) else {}), **given}
    try:
        return AppConfig.model_validate(raw)
    except ValidationError as exc:
        raise ConfigError(explain(exc, AppConfig)) from None


def find_config(path: Path | None) -> Path:
    """The file that a path, or the name of a shipped configuration, stands for."""
    if path is None:
        return CONFIGS_FOLDER / "default.yaml"
    shipped = CONFIGS_FOLDER / f"{path}.yaml"
    if not path.exists() and os.sep not in str(path) and shipped.exists():
        return shipped
    return path


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: it cannot be read, or holds something else.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"configuration {path} cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"configuration {path} is not UTF-8 text") from None
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"configuration {path} is not valid YAML{where}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        raise ConfigError(f"configuration {path} must be a mapping of sections")
    return raw


def _known_keys(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # a name in a mapping of models, which was entered one step before
        inner = [field.annotation, *get_args(field.annotation)]
        models = [one for one in inner if isinstance(one, type) and issubclass(one, BaseModel)]
        if not models:
            return []
        model = models[-1]
    return list(model.model_fields)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """What is wrong with a configuration, with the nearest known key for an unknown one.

    Args:
        error: what pydantic found.
        model: what the configuration should have been.
    """
    lines = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            known = _known_keys(item["loc"], model)
            near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            lines.append(f"{name}: unknown key; {hint}")
        else:
            lines.append(f"{name}: {item['msg']}")
    return "configuration: " + "; ".join(lines)
