"""The programs of a GPU, whose steps are counted beforehand: they give what a processor's gives."""

from __future__ import annotations

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.model import adaptation, programs, serving_lstm
from charrepl_daemon.model.carry_store import SCRATCH_SLOT
from charrepl_daemon.model.packed_arguments import Packing
from charrepl_daemon.model.programs import PIECE
from charrepl_train.devices import jax_setup
from charrepl_train.hyperparameters import ModelConfig
from charrepl_train.model import network
from tests.charrepl_daemon import engine_requests

KINDS, HIDDEN, SHAPE, SLOTS = 11, 24, (2, 2, 24), 80
PACKING = Packing(programs.blank_rows(KINDS))
VISIBLE = np.arange(KINDS) > 2
ROWS = [
    {"count": 0, "budget": 8},
    {"count": 3, "budget": 5, "adapts": True},
    {"count": 1, "budget": 8, "temperature": 0.9, "top_k": 5, "top_p": 0.8, "seed": 7, "position": 40},
    {"count": 4, "budget": 0},
    {"count": 2, "budget": 8, "rank": 2, "least": -6.0, "adapts": True},
    {"count": 4, "budget": 8, "ends": True},
]


@pytest.fixture(scope="module")
def weights() -> serving_lstm.Weights:
    rng = np.random.default_rng(3)
    _, shapes = network.abstract(ModelConfig(layers=2, hidden_size=HIDDEN, output_layers="all"), KINDS)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.4, leaf.shape).astype(np.float32), shapes)
    return serving_lstm.prepared(params, "f32")


def packed(rows: list[dict[str, object]]) -> np.ndarray:
    """The arguments of a call, whose rows want such things."""
    rng = np.random.default_rng(5)
    array = PACKING.blank(len(rows))
    fields = PACKING.fields(array)
    for i, row in enumerate(rows):
        first = 4 + 12 * i
        fields.read[i] = 2 + i % 2
        fields.tokens[i] = rng.integers(1, KINDS, fields.tokens.shape[1])
        fields.write[i, : row["count"]] = first + np.arange(row["count"])
        fields.keep[i, : row["budget"]] = first + 4 + np.arange(row["budget"]) if i < 5 else SCRATCH_SLOT
        for name in row.keys() - {"adapts", "ends"}:
            getattr(fields, name)[i] = row[name]
        fields.ends[i, 4] = "ends" in row
        if "adapts" in row:
            adaptation.fill(fields.said, i, rng.integers(1, KINDS, 300).astype(np.int32))
    return array


@pytest.mark.parametrize("reads", [4, programs.MAX_FED])
def test_they_give_the_same_to_the_bit(weights: serving_lstm.Weights, reads: int) -> None:
    store = np.random.default_rng(1).normal(0, 0.5, (SLOTS, 4 * HIDDEN)).astype(np.float32)
    found = []
    for steps in (None, reads):
        arguments = weights, jnp.asarray(store), jnp.asarray(packed(ROWS))
        serve = (
            jax.jit(programs.serve_program(SHAPE, VISIBLE, PACKING, reads=steps)).lower(*arguments).compile()
        )
        loops = re.findall(r".* while\(.*", serve.as_text())
        assert loops
        assert all("known_trip_count" in loop for loop in loops) == (steps is not None)
        after, out = jax.device_get(serve(*arguments))
        after = np.delete(after, SCRATCH_SLOT, axis=0)  # where whatever nobody keeps goes
        found.append((after.tobytes(), out.tobytes()))
    assert found[0] == found[1]


def test_votes_are_the_same_in_any_order() -> None:
    rng = np.random.default_rng(2)
    alike = rng.integers(0, adaptation.LONGEST + 1, (3, adaptation.WINDOW)).astype(np.int32)
    alike[1] = adaptation.LONGEST  # all the weight that there can be
    after = rng.integers(0, KINDS, alike.shape).astype(np.int32)
    after[1] = 4
    exact = np.zeros((3, KINDS))
    for row in range(3):
        np.add.at(exact[row], after[row], np.where(alike[row] > 0, 4.0 ** alike[row], 0))
    order = rng.permutation(adaptation.WINDOW)
    votes = [
        np.asarray(adaptation.votes_in_any_order(alike[:, by], after[:, by], kinds=KINDS))
        for by in (slice(None), order)
    ]
    np.testing.assert_array_equal(votes[0], votes[1])
    np.testing.assert_allclose(votes[0], exact, rtol=2e-7)
    in_order = adaptation.votes_in_order(alike, after, kinds=KINDS)
    np.testing.assert_allclose(in_order, exact, rtol=1e-5)


def test_an_engine_with_them_writes_the_same(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(engine: Engine) -> list[tuple[str, list[float]]]:
        found = []
        for text in ("every cup", "every cup is", "MASTER:\nThe road " * 4):
            request = engine_requests.complete(text, max_chars=2 * PIECE, decoding=Decoding(adapt=True))
            (generation,) = engine.planner.ghosts("s", request)
            while not generation.done:
                engine.step([generation])
            engine.release(generation)
            found.append((generation.text, generation.log_probs))
        return found

    looped = written(Engine(model_dir, cache_bytes=4 << 20))
    monkeypatch.setattr(jax_setup, "has_gpu", lambda: True)
    engine = Engine(model_dir, cache_bytes=4 << 20)
    assert engine.batches[-1] == 128
    for (text, log_probs), (expected, likely) in zip(written(engine), looped, strict=True):
        assert text == expected
        np.testing.assert_allclose(log_probs, likely, atol=1e-5)
