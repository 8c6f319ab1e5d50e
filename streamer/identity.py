"""Identities: from embeddings to the keyed identities that the generator gets."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import numpy as np

from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.errors import EngineLoadError
from engines.identity_composites import IdentityComposites
from engines.manifest import WEIGHTS_FOLDER, companion_array
from streamer.identity_prior import IdentityPrior
from streamer.keys import KeyScope, scope_id_for
from streamer.rotator import Rotator

__all__ = [
    "IdentityKeys",
    "IdentitySpace",
    "identify",
    "load_identity_space",
    "mean_embedding",
]


def identify(embedder: FaceEmbedder, crops: UInt8Array) -> Float32Array:
    """The identity that several views of one person agree on.

    Each view is embedded as it is and mirrored: a person's mirror image is the same person, and
    the errors of the encoder average out.

    Args:
        embedder: E_id.
        crops: (N, 112, 112, 3) uint8 RGB, N >= 1.

    Returns:
        (D,) float32, norm 1.
    """
    mirrored = np.ascontiguousarray(crops[:, :, ::-1])
    return mean_embedding(embedder.embed(np.concatenate([crops, mirrored])))


def mean_embedding(embeddings: Float32Array) -> Float32Array:
    """The unit mean of some embeddings of one person.

    Args:
        embeddings: (N, D) float32 unit vectors, N >= 1.

    Returns:
        (D,) float32, norm 1.
    """
    mean = embeddings.mean(axis=0)
    unit: Float32Array = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit


class IdentitySpace:
    """The subspace in which real embeddings lie; rotations happen inside it.

    The encoder's last layer has fewer dimensions than its output. A rotation of all 512 would
    lead out of the subspace, to embeddings that no face has (docs/decisions/0006).

    Args:
        basis: (K, D) float32 with orthonormal rows.
        composites: of people, in the same coordinates; None: nobody is known.
        people_weight: of the composites nearest to an identity, beside 1 of the identity itself.

    Raises:
        ValueError: the composites have other coordinates.
    """

    def __init__(
        self,
        basis: Float32Array,
        composites: IdentityComposites | None = None,
        *,
        people_weight: float = 0.0,
    ) -> None:
        if composites is not None and composites.dim != len(basis):
            raise ValueError(f"the composites have {composites.dim} coordinates, not {len(basis)}")
        self._basis = basis
        self._composites, self._people_weight = composites, people_weight

    @property
    def dim(self) -> int:
        """Number of coordinates K."""
        return int(self._basis.shape[0])

    def coordinates(self, embedding: Float32Array) -> Float32Array:
        """(D,) embedding to (K,) unit coordinates."""
        inside = self._basis @ embedding
        unit: Float32Array = (inside / max(float(np.linalg.norm(inside)), 1e-12)).astype(np.float32)
        return unit

    def embedding(self, coordinates: Float32Array) -> Float32Array:
        """(K,) coordinates to a (D,) unit embedding."""
        lifted = self._basis.T @ coordinates
        unit: Float32Array = (lifted / max(float(np.linalg.norm(lifted)), 1e-12)).astype(np.float32)
        return unit

    def drawn(self, turned: Float32Array) -> Float32Array:
        """(K,) turned unit coordinates to the (D,) embedding to draw, nearer to people's."""
        if self._composites is None or not self._people_weight:
            return self.embedding(turned)
        (moved,) = self._composites.towards(turned[None], self._people_weight)
        return self.embedding(np.asarray(moved, np.float32))


def load_identity_space(
    extra: Mapping[str, object], folder: Path = WEIGHTS_FOLDER, *, people_weight: float = 0.0
) -> IdentitySpace:
    """The space that a generator was trained for.

    Args:
        extra: further entries of the generator's manifest; `identity_basis` and
            `identity_composites` name files.
        folder: where the files lie.
        people_weight: see `IdentitySpace`; of no effect without composites.

    Raises:
        EngineLoadError: missing file, wrong hash, or two that do not fit.
    """
    basis = companion_array(extra, "identity_basis", folder)
    basis = np.eye(512, dtype=np.float32) if basis is None else basis
    rows = companion_array(extra, "identity_composites", folder)
    try:
        composites = None if rows is None else IdentityComposites(rows)
        return IdentitySpace(basis, composites, people_weight=people_weight)
    except ValueError as exc:
        raise EngineLoadError(folder, f"identity_composites cannot be used: {exc}") from exc


class IdentityKeys:
    """Turns the embeddings of a recording into keyed identities. Not thread-safe.

    Args:
        space: the subspace that rotations act in.
        make_rotator: gives the rotator of a scope id; called once for each.
        scope: how far one pseudonym reaches.
        camera_id: names the camera in camera scope.
    """

    def __init__(
        self,
        space: IdentitySpace,
        make_rotator: Callable[[str], Rotator],
        *,
        scope: KeyScope,
        camera_id: str = "",
    ) -> None:
        self._space = space
        self._make_rotator = make_rotator
        self._scope = scope
        self._camera_id = camera_id
        self._rotators: dict[str, Rotator] = {}
        # Identity -> the key tried last: it is asked for again and again while faces are chosen.
        self._tried: dict[int, tuple[str, Rotator]] = {}
        self._attempts: dict[int, int] = {}

    def scope_id(self, identity_id: int) -> str:
        """The name under which the key of an identity is derived."""
        return self._named(identity_id, self._attempts.get(identity_id, 0))

    def _named(self, identity_id: int, attempt: int) -> str:
        return scope_id_for(
            self._scope, track_id=identity_id, camera_id=self._camera_id, attempt=attempt
        )

    def use(self, identity_id: int, attempt: int) -> None:
        """Settle on one of the keys of an identity, by its number from 0."""
        self._attempts[identity_id] = attempt
        self._tried.pop(identity_id, None)

    def _rotator(self, identity_id: int) -> Rotator:
        name = self.scope_id(identity_id)
        if name not in self._rotators:
            self._rotators[name] = self._make_rotator(name)
        return self._rotators[name]

    def protect(self, identity_id: int, embedding: Float32Array) -> Float32Array:
        """(D,) original embedding to the (D,) unit embedding of the new face."""
        return self._turned(self._rotator(identity_id), embedding)

    def propose(self, identity_id: int, embedding: Float32Array, attempt: int) -> Float32Array:
        """What `protect` would give after `use`; where a key is shared, there is but one."""
        return self._turned(self._tried_rotator(identity_id, attempt), embedding)

    def _tried_rotator(self, identity_id: int, attempt: int) -> Rotator:
        name = self._named(identity_id, attempt)
        last = self._tried.get(identity_id)
        if last is None or last[0] != name:
            last = self._tried[identity_id] = name, self._make_rotator(name)
        return last[1]

    def recall(
        self, identity_id: int, read: Float32Array, attempt: int, prior: IdentityPrior | None
    ) -> Float32Array:
        """The (K,) unit coordinates that an identity read in a new face leads back to.

        Args:
            identity_id: whose.
            read: (D,) unit embedding.
            attempt: number of the key.
            prior: corrects the error of reading; None: taken as it was read.
        """
        rotator = self._tried_rotator(identity_id, attempt)
        found = rotator.unrotate(self._space.coordinates(read))
        return found if prior is None else prior.likeliest(found)

    def _turned(self, rotator: Rotator, embedding: Float32Array) -> Float32Array:
        return self._space.drawn(rotator.rotate(self._space.coordinates(embedding)))

    def keep(self, identity_ids: Collection[int]) -> None:
        """Forget the rotators of all other identities; they are made again when needed."""
        names = {self.scope_id(identity) for identity in identity_ids}
        self._rotators = {name: one for name, one in self._rotators.items() if name in names}
        self._attempts = {k: n for k, n in self._attempts.items() if k in identity_ids}
        self._tried = {k: one for k, one in self._tried.items() if k in identity_ids}

    def norm(self, identity_id: int, embedding: Float32Array) -> float:
        """Length of the rotated coordinates before they were scaled to 1."""
        return self._rotator(identity_id).rotated_norm(self._space.coordinates(embedding))
