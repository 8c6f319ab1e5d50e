"""The networks of a run, loaded and matched with each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from engines.detector import DetectorSettings, FaceDetector
from engines.embedder import FaceEmbedder
from engines.errors import ConfigError, EngineLoadError
from engines.generator import FaceGenerator
from engines.landmarks import LandmarkRefiner
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, ModelManifest, load_manifest, sha256_of
from engines.precision import Precision
from engines.protocols import Engine
from engines.types import EngineInfo
from streamer.config import AppConfig
from streamer.identity import IdentitySpace, load_identity_space

__all__ = ["Models", "load_models", "manifests", "people_weight"]


@dataclass(frozen=True, slots=True)
class Models:
    """What a run computes with.

    Attributes:
        detector: finds faces.
        embedder: E_id, identity of a crop.
        generator: E_attr and G, the new face of a crop.
        space: subspace in which identities are rotated.
        hashes: model name and SHA-256 of its file, for the key log; that of the float32 file also
            where its INT8 form runs, since either draws what the other has drawn.
        engines: what runs them, for reports.
    """

    detector: FaceDetector
    embedder: FaceEmbedder
    generator: FaceGenerator
    space: IdentitySpace
    hashes: tuple[tuple[str, bytes], ...]
    engines: tuple[Engine, ...]

    def describe(self) -> list[EngineInfo]:
        """What runs each network."""
        return [engine.describe() for engine in self.engines]

    def close(self) -> None:
        """Release all engines."""
        for engine in self.engines:
            engine.close()


def _dropped_in(name: str, path: Path, mean: float, std: float) -> ModelManifest:
    if not path.is_file():
        raise ConfigError(f"{name} model {path} does not exist")
    # A file that the user names is trusted as it is; its hash goes into the key log all the same.
    return ModelManifest(name, "user", path, sha256_of(path), mean, std)


def manifests(config: AppConfig) -> tuple[ModelManifest, ModelManifest, ModelManifest]:
    """Detector, encoder and generator that a configuration asks for.

    Raises:
        ConfigError: a model of the user's own is missing, or does not fit the generator.
        EngineLoadError: one of ours is missing.
    """
    own = config.detector.model
    detector = (
        load_manifest(WEIGHTS_FOLDER / "detector.json")
        if own is None
        else _dropped_in("detector", own, 127.5, 128.0)
    )
    generator = load_manifest(config.identity.generator or WEIGHTS_FOLDER / "generator.json")
    own = config.identity.encoder
    encoder = (
        load_manifest(WEIGHTS_FOLDER / "encoder.json")
        if own is None
        else _dropped_in("encoder", own, 127.5, 127.5)
    )
    trained_with = generator.extra.get("encoder_sha256")
    # A generator of the user's own that names no encoder was made from ours.
    is_swapped = own is not None or (config.identity.generator is not None and trained_with)
    if is_swapped and trained_with != encoder.sha256:
        raise ConfigError(
            f"identity.encoder: the generator was not trained with {encoder.path.name}; a swapped "
            "encoder needs a generator of its own (identity.generator), trained with python -m "
            "training.generator"
        )
    return detector, encoder, generator


def _open_embedder(engine: Engine, manifest: ModelManifest, generator: Engine) -> FaceEmbedder:
    """E_id, after its shapes were compared with what crops and the generator need."""
    try:
        embedder = FaceEmbedder(engine, mean=manifest.mean, std=manifest.std)
    except ValueError as exc:
        raise EngineLoadError(manifest.path, str(exc)) from exc
    given = engine.outputs[0].shape[-1]
    wanted = next(s.shape[-1] for s in generator.inputs if s.name == "identity")
    if len(engine.outputs) != 1 or (None not in (given, wanted) and given != wanted):
        raise EngineLoadError(
            manifest.path,
            f"its outputs are {[spec.shape for spec in engine.outputs]}; the generator needs one "
            f"embedding of {wanted} values",
        )
    return embedder


def _open_generator(engine: Engine, manifest: ModelManifest) -> FaceGenerator:
    try:
        return FaceGenerator(engine)
    except ValueError as exc:
        raise EngineLoadError(manifest.path, str(exc)) from exc


def people_weight(config: AppConfig) -> float:
    """How far keyed identities are moved towards people's.

    Not with the published rotation, which is there to be compared with; nor where the password is
    the only way back, since what was asked for is then read less well (docs/decisions/0082).
    """
    log, identity = config.keylog, config.identity
    has_only_password = not (log.seal or log.assisted or log.irreversible)
    if identity.rotation != "orthogonal" or has_only_password:
        return 0.0
    return identity.people_weight


def load_models(config: AppConfig, *, threads: int) -> Models:
    """Load and verify all networks.

    Args:
        config: which models and where to run them.
        threads: CPU threads of one call; 1 when several workers call at the same time.

    Raises:
        ConfigError: models that do not fit together.
        EngineLoadError: a model or provider that cannot be used.
    """
    detector, encoder, generator = manifests(config)
    landmarks = load_manifest(WEIGHTS_FOLDER / "landmarks.json")
    wanted = config.engine.precision
    # A detector of the user's own has no INT8 form, so INT8 by name means the generator.
    others: Precision = "auto" if wanted == "int8" else wanted
    engines = tuple(
        load_engine(
            manifest,
            provider=config.engine.provider,
            threads=threads,
            cache_folder=config.engine.cache_folder,
            precision=wanted if manifest.name == "generator" else others,
            # The other two are too small for INT8, or asked too seldom.
            quantised=manifest.name in ("generator", "detector"),
            shared=config.engine.shared,
        )
        for manifest in (detector, encoder, generator, landmarks)
    )
    settings = DetectorSettings.from_manifest(detector)
    if config.detector.start_score is not None:
        settings = replace(settings, score_threshold=config.detector.start_score)
    if config.detector.continue_score is not None:
        settings = replace(settings, keep_threshold=config.detector.continue_score)
    faces = _open_generator(engines[2], generator)
    return Models(
        FaceDetector(engines[0], settings=settings, refiner=LandmarkRefiner(engines[3])),
        _open_embedder(engines[1], encoder, engines[2]),
        faces,
        load_identity_space(
            generator.extra, generator.path.parent, people_weight=people_weight(config)
        ),
        tuple(
            (manifest.name, bytes.fromhex(sha256_of(manifest.path)))
            for manifest in (detector, encoder, generator, landmarks)
        ),
        engines,
    )
