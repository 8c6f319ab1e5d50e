"""R, the reader: for which identity a new face was made, as far as the video still shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.arrays import Float64Array
from engines.embedder import FaceEmbedder
from engines.errors import EngineLoadError
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, load_manifest
from streamer.config import AppConfig
from streamer.identity_prior import IdentityPrior, load_prior

__all__ = ["WantedReader", "open_reader"]


@dataclass(frozen=True, slots=True)
class WantedReader:
    """What reads new faces of one generator.

    Attributes:
        embedder: crops of new faces to the identities that they were made for.
        prior: corrects what was read once it is turned back; None: nothing is known.
    """

    embedder: FaceEmbedder
    prior: IdentityPrior | None

    def gain(self, dim: int) -> Float64Array:
        """(K,) how much of each of `dim` coordinates is read; alike where nothing is known."""
        return np.ones(dim) if self.prior is None else self.prior.gain

    def close(self) -> None:
        """Release the engine."""
        self.embedder.close()


def open_reader(config: AppConfig, *, drawn_by: bytes | None) -> WantedReader | None:
    """The reader that learned from the faces of the generator of a recording.

    It lies beside the generator that the configuration asks for. In the faces of another one it
    would read nonsense.

    Args:
        config: which generator, and where to run networks.
        drawn_by: SHA-256 of the float32 file of the generator that made the faces; None: unknown.

    Returns:
        The reader, to be closed by the caller; None if there is none for this generator.

    Raises:
        EngineLoadError: there is one, and it cannot be used.
    """
    beside = config.identity.generator or WEIGHTS_FOLDER / "generator.json"
    path = beside.with_name("reader.json")
    if drawn_by is None or not path.is_file():
        return None
    manifest = load_manifest(path)
    if manifest.extra.get("generator_sha256") != drawn_by.hex():
        return None
    prior = load_prior(manifest.extra, path.parent)
    engine = load_engine(
        manifest, provider=config.engine.provider, threads=1,
        cache_folder=config.engine.cache_folder,
    )  # fmt: skip
    try:
        return WantedReader(FaceEmbedder(engine, mean=manifest.mean, std=manifest.std), prior)
    except ValueError as exc:
        engine.close()
        raise EngineLoadError(manifest.path, str(exc)) from exc
