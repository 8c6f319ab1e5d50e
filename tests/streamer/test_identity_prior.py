"""Correcting identities that were read with an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.arrays import Float32Array
from engines.errors import EngineLoadError
from engines.manifest import sha256_of
from streamer.identity_prior import IdentityPrior, load_prior

DIM, COSINE = 24, 0.4
GAIN = np.full(DIM, COSINE)
NOISE = np.full(DIM, np.sqrt((1 - COSINE**2) / DIM))


def _unit(rows: Float32Array) -> Float32Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def _people(count: int, seed: int) -> Float32Array:
    """Identities that differ mostly in a few directions, around a mean that is not zero."""
    lengths = 0.8 ** np.arange(DIM)
    values = np.random.default_rng(seed).normal(size=(count, DIM)) * lengths
    return _unit(np.asarray(values + 0.2, np.float32))


def _read(true: Float32Array, cosine: float) -> Float32Array:
    """As a reader of this cosine reads them: the error lies in any direction."""
    noise = np.random.default_rng(5).normal(size=true.shape).astype(np.float32)
    across = _unit(noise - (noise * true).sum(1, keepdims=True) * true)
    return np.asarray(cosine * true + np.sqrt(1 - cosine**2) * across, np.float32)


def _prior(people: Float32Array) -> IdentityPrior:
    return IdentityPrior(people.mean(0), np.cov(people.T).astype(np.float32), GAIN, NOISE)


def test_it_comes_nearer_to_people_it_does_not_know() -> None:
    prior, true = _prior(_people(4000, 1)), _people(200, 2)
    read = _read(true, COSINE)
    found = np.stack([prior.likeliest(row) for row in read])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    before, after = (read * true).sum(1).mean(), (found * true).sum(1).mean()
    assert before == pytest.approx(COSINE, abs=1e-3)
    assert after > before + 0.1


def test_people_are_still_told_apart() -> None:
    prior, true = _prior(_people(4000, 1)), _people(40, 3)
    found = np.stack([prior.likeliest(row) for row in _read(true, 0.8)])
    assert ((found @ true.T).argmax(1) == np.arange(40)).mean() > 0.5


def test_nothing_known_changes_nothing() -> None:
    prior = IdentityPrior(np.zeros(DIM, np.float32), np.eye(DIM, dtype=np.float32), GAIN, NOISE)
    read = _people(1, 4)[0]
    np.testing.assert_allclose(prior.likeliest(read), read, atol=1e-6)


def _file(folder: Path, rows: Float32Array) -> dict[str, object]:
    path = folder / "prior.npy"
    np.save(path, rows)
    return {
        "identity_prior": {"file": path.name, "sha256": sha256_of(path)},
        "read_cosine": COSINE,
    }


def test_it_comes_from_the_file_that_a_manifest_names(tmp_path: Path) -> None:
    people = _people(400, 1)
    rows = np.concatenate([people.mean(0, keepdims=True), np.cov(people.T)]).astype(np.float32)
    prior = load_prior(_file(tmp_path, rows), tmp_path)
    assert prior is not None
    read = _read(people[:1], COSINE)[0]
    np.testing.assert_allclose(prior.likeliest(read), _prior(people).likeliest(read), atol=1e-4)


def test_blocks_may_be_read_differently_well(tmp_path: Path) -> None:
    people, strangers = _people(4000, 1), _people(300, 2)
    rows = np.concatenate([people.mean(0, keepdims=True), np.cov(people.T)]).astype(np.float32)
    facts = _file(tmp_path, rows)
    del facts["read_cosine"]
    facts["read_blocks"] = [[8, 0.9, 0.05], [DIM - 8, 0.1, 0.2]]
    prior = load_prior(facts, tmp_path)
    assert prior is not None
    gain, noise = np.repeat([0.9, 0.1], [8, DIM - 8]), np.repeat([0.05, 0.2], [8, DIM - 8])
    draws = np.random.default_rng(3).normal(size=strangers.shape)
    read = _unit(np.asarray(gain * strangers + noise * draws, np.float32))
    found = np.stack([prior.likeliest(row) for row in read])
    assert (found * strangers).sum(1).mean() > (read * strangers).sum(1).mean() + 0.1


def test_a_manifest_may_name_none(tmp_path: Path) -> None:
    assert load_prior({}, tmp_path) is None
    assert load_prior({"read_cosine": 0.5}, tmp_path) is None


@pytest.mark.parametrize(
    "what", ["changed", "missing", "shape", "cosine", "blocks", "sizes", "gain"]
)
def test_an_unfit_file_is_refused(tmp_path: Path, what: str) -> None:
    rows = np.eye(DIM + 1, DIM, dtype=np.float32)
    facts = _file(tmp_path, rows[:-1] if what == "shape" else rows)
    path = tmp_path / "prior.npy"
    if what == "changed":
        path.write_bytes(path.read_bytes() + b"x")
    if what == "missing":
        path.unlink()
    if what == "cosine":
        facts["read_cosine"] = 1.5
    tables = {"blocks": [1, 2], "sizes": [[DIM - 1, 0.5, 0.1]], "gain": [[DIM, 0.0, 0.1]]}
    if what in tables:
        facts["read_blocks"] = tables[what]
    with pytest.raises(EngineLoadError, match=r"prior\.npy"):
        load_prior(facts, tmp_path)
