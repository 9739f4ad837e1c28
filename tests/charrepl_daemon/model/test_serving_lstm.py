"""The weights as serving has them, in every precision, against a float64 LSTM."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from charrepl_daemon.model import compiled_programs, precision, serving_lstm
from charrepl_train.hyperparameters import ModelConfig
from charrepl_train.model import network
from tests.conftest import textbook_lstm

VOCABULARY, LAYERS, HIDDEN = 11, 3, 40


@pytest.fixture(scope="module", params=["last", "all"])
def params(request):
    config = ModelConfig(layers=LAYERS, hidden_size=HIDDEN, output_layers=request.param)
    return jax.device_get(network.build(config, VOCABULARY, seed=3)[1])


def read(params, tokens, **kind):
    """Logits [batch, time, vocabulary] and the carry [batch, layers, 2, hidden]."""
    served = serving_lstm.prepared(params, **kind)
    shape = len(params["layers"]), 2, len(params["layers"]["0"]["w_hh"])

    @jax.jit
    def run(served, tokens):
        def step(carry, token):
            carry = serving_lstm.step(served, carry, token)
            return carry, serving_lstm.logits(served, carry)

        zero = serving_lstm.unpacked(jax.numpy.zeros((len(tokens), np.prod(shape)), np.float32), shape)
        carry, logits = jax.lax.scan(step, zero, tokens.T)
        return logits.swapaxes(0, 1), serving_lstm.packed(carry)

    logits, rows = run(served, tokens)
    return np.asarray(logits), np.asarray(rows).reshape(-1, *shape)


@pytest.mark.parametrize("batch", [1, 2, 8, 33])
@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [
        ({"precision": "f32"}, 1e-5),
        ({"precision": "bf16"}, 0.03),
        ({"precision": "int8"}, 0.03),
        ({"precision": "int8", "unsigned": True}, 0.03),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else "",
)
def test_a_step_is_that_of_a_float64_lstm(params, batch, kind, tolerance):
    tokens = np.random.default_rng(batch).integers(0, VOCABULARY, (batch, 12)).astype(np.int32)
    carry, expected = textbook_lstm(params, tokens)
    logits, found = read(params, tokens, **kind)
    np.testing.assert_allclose(logits, expected, atol=tolerance)
    np.testing.assert_allclose(found, carry, atol=tolerance)


def test_signed_and_unsigned_bytes_give_the_same_to_the_bit(params):
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (5, 12)).astype(np.int32)
    signed, unsigned = (read(params, tokens, precision="int8", unsigned=u) for u in (False, True))
    np.testing.assert_array_equal(signed[0], unsigned[0])


def test_bytes_are_what_a_step_reads(params):
    f32, int8 = (serving_lstm.prepared(params, kind) for kind in ("f32", "int8"))
    left = 4 * HIDDEN * HIDDEN * (1 + 2 * (LAYERS - 1))
    assert serving_lstm.step_bytes(f32) - serving_lstm.step_bytes(int8) == 3 * left


def test_the_cost_of_a_precision_is_next_to_nothing_and_told(params, caplog):
    caplog.set_level("INFO")
    found = precision.served(params, "int8", newline=1)
    assert found.precision == "int8"
    assert 0 < found.cost < precision.MOST_COST
    assert "int8 costs" in caplog.text
    assert precision.served(params, "f32", newline=1).cost == 0


def test_the_cost_is_measured_once_for_a_model(params, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    (tmp_path / "compiled").mkdir(mode=0o700)
    costs = [precision.served(params, "int8", newline=1, digest="d").cost]
    (tmp_path / "compiled" / "precision.json").write_text('{"d int8": 0.5, "e int8": "damaged"}')
    costs.append(precision.served(params, "int8", newline=1, digest="d").cost)  # measured anew
    monkeypatch.setattr(precision, "_cost", None)
    costs.append(precision.served(params, "int8", newline=1, digest="d").cost)
    assert len(set(costs)) == 1
    monkeypatch.setattr(compiled_programs, "here", lambda: "another quantiser, or another processor")
    with pytest.raises(TypeError):  # it would be measured again
        precision.served(params, "int8", newline=1, digest="d")


def test_auto_leaves_alone_what_is_small(params):
    assert precision.served(params, "auto", newline=1).precision == "f32"


def test_auto_takes_bytes_where_they_pay_and_floats_where_they_cost_too_much(params, monkeypatch, caplog):
    monkeypatch.setattr(precision, "_pays", lambda exact: True)
    assert precision.served(params, "auto", newline=1).precision == "int8"
    # Weights this large saturate the gates, and a rounded one then turns them over.
    wild = jax.tree.map(lambda x: 40 * x, params)
    caplog.set_level("INFO")
    assert precision.served(wild, "auto", newline=1).precision == "f32"
    assert "serving in f32" in caplog.text
    assert precision.served(wild, "int8", newline=1).precision == "int8"
    assert "more than" in caplog.text
