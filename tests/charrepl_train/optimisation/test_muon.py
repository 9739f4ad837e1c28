"""Muon's steps, against the polar factor that numpy finds in float64; and that all else is left to Adam."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax.contrib import MuonDimensionNumbers, scale_by_muon

from charrepl_train.hyperparameters import ModelConfig
from charrepl_train.model import network
from charrepl_train.optimisation import muon

HIDDEN = 12


def gradient(seed: int = 0) -> Any:
    """Numbers in the place of a model's weights."""
    _, params = network.build(ModelConfig(layers=2, hidden_size=HIDDEN), 7)
    leaves, tree = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    return tree.unflatten([jnp.asarray(rng.normal(size=leaf.shape), jnp.float32) for leaf in leaves])


def first_step(given: Any, *, iterations: int = 10, **settings: Any) -> Any:
    scale = muon.scale_by_muon_or(optax.scale_by_adam(), iterations=iterations, **settings)
    return scale.update(given, scale.init(given), given)[0]


def gates(weights: Any) -> list[np.ndarray]:
    return np.split(np.asarray(weights, np.float64), 4, axis=-1)


def matrices(tree: Any) -> list[Any]:
    layers = tree["layers"]
    return [layers["0"]["w_hh"], layers["1"]["w_ih"], layers["1"]["w_hh"]]


def test_a_step_is_the_orthogonal_matrix_nearest_to_the_gradient_of_each_gate() -> None:
    given = gradient()
    for whole, step in zip(matrices(given), matrices(first_step(given)), strict=True):
        for gate, moved in zip(gates(whole), gates(step), strict=True):
            u, singular, v = np.linalg.svd(gate)
            assert singular.max() / singular.min() > 5
            turned = u.T @ moved @ v.T / (0.2 * HIDDEN**0.5)
            # The iteration is made for speed: it brings every singular value near one, not to one.
            assert np.all(np.abs(np.diag(turned) - 1) < 0.35)
            np.testing.assert_allclose(turned - np.diag(np.diag(turned)), 0, atol=1e-3)


def test_gates_do_not_weigh_on_one_another() -> None:
    given = gradient()
    louder = jax.tree.map(jnp.copy, given)
    w_hh = louder["layers"]["1"]["w_hh"]
    louder["layers"]["1"]["w_hh"] = w_hh.at[:, HIDDEN : 2 * HIDDEN].multiply(1000)
    before, after = (first_step(tree)["layers"]["1"]["w_hh"] for tree in (given, louder))
    np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4)


def test_more_iterations_come_nearer() -> None:
    given = gradient()

    def off(iterations: int) -> float:
        steps = [g for m in matrices(first_step(given, iterations=iterations)) for g in gates(m)]
        return max(abs(np.linalg.svd(g)[1] / (0.2 * HIDDEN**0.5) - 1).max() for g in steps)

    assert off(1) > off(3) > off(6)


def test_in_f32_it_is_muon_as_optax_has_it() -> None:
    dimensions = MuonDimensionNumbers(reduction_axis=0, output_axis=2)
    whole = gradient()["layers"]["1"]["w_hh"].reshape(HIDDEN, 4, HIDDEN)
    for preconditioning in ("frobenius", "aol"):
        theirs = scale_by_muon(
            ns_steps=3, preconditioning=preconditioning, weight_dimension_numbers=dimensions
        )
        expected = theirs.update(whole, theirs.init(whole))[0].reshape(HIDDEN, -1) * (0.2 * HIDDEN**0.5)
        ours = first_step(gradient(), iterations=3, preconditioning=preconditioning)["layers"]["1"]["w_hh"]
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-5)


def test_aol_comes_nearer_in_as_many_iterations_and_bf16_as_near_as_f32() -> None:
    def least(**settings: Any) -> float:
        steps = matrices(first_step(gradient(), **settings))
        return min(np.linalg.svd(g)[1].min() for m in steps for g in gates(m)) / (0.2 * HIDDEN**0.5)

    assert least(iterations=2, preconditioning="aol") > 1.1 * least(iterations=2)
    assert least(iterations=3, dtype=jnp.bfloat16) == pytest.approx(least(iterations=3), rel=0.1)


def test_two_iterations_after_aol_come_nearer_than_three_for_a_momentum_as_in_training() -> None:
    # Units differ in how much their weights are asked to move, so rows do in their lengths.
    rows = np.random.default_rng(0).normal(size=(64, 64)) * np.geomspace(1, 1e-2, 64)[:, None]
    momentum = jnp.asarray(rows / np.linalg.norm(rows), jnp.float32)[None]

    def off(**settings: Any) -> float:
        found = np.linalg.svd(muon.orthogonal(momentum, **settings)[0])[1]
        return float(np.sqrt(np.mean((found - 1) ** 2)))

    assert off(iterations=2, preconditioning="aol") < off(iterations=3)


def test_no_singular_value_grows_beyond_what_the_pair_is_fitted_to() -> None:
    values = np.linspace(0, 1.03, 2000)
    for linear, cubic, quintic in muon._FITTED_PAIR:
        values = linear * values + cubic * values**3 + quintic * values**5
    assert values.min() >= 0
    assert values.max() < 1.25


def test_a_gradient_of_nothing_or_next_to_nothing_gives_a_step_that_is_a_number() -> None:
    for factor in (0.0, 1e-12):
        small = jax.tree.map(lambda leaf, factor=factor: factor * leaf, gradient())
        for preconditioning in ("frobenius", "aol"):
            steps = first_step(small, iterations=2, preconditioning=preconditioning, dtype=jnp.bfloat16)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(steps))


@pytest.mark.parametrize("rate", [1.0, 2.0])
def test_what_is_no_matrix_between_hidden_units_is_left_to_adam_at_its_rate(rate: float) -> None:
    scale = muon.scale_by_muon_or(optax.scale_by_adam(), iterations=3, other_rate=rate)
    adam = optax.scale_by_adam()
    state, plain = scale.init(gradient()), adam.init(gradient())
    for seed in range(3):
        steps, state = scale.update(gradient(seed), state)
        expected, plain = adam.update(gradient(seed), plain)
        expected = jax.tree.map(lambda step: rate * step, expected)
    for n, names in (("0", ("w_ih", "b")), ("1", ("b",))):
        for name in names:
            np.testing.assert_array_equal(steps["layers"][n][name], expected["layers"][n][name])
    jax.tree.map(np.testing.assert_array_equal, steps["output"], expected["output"])
    assert jax.tree.structure(steps) == jax.tree.structure(gradient())
    for step, other in zip(matrices(steps), matrices(expected), strict=True):
        assert np.abs(step - other).max() > 0.1 * rate
        assert float(jnp.std(step)) == pytest.approx(0.2, abs=0.06)  # about that of Adam's


@pytest.mark.parametrize("rows", [1, 2, 5, 12])
def test_a_square_by_blocks_is_the_square(rows: int) -> None:
    a = jnp.asarray(np.random.default_rng(rows).normal(size=(rows, 7)), jnp.float32)
    np.testing.assert_allclose(muon._square_by_blocks(a), a @ a.T, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("preconditioning", ["frobenius", "aol"])
def test_a_processor_takes_the_steps_that_other_devices_take(preconditioning: Any) -> None:
    matrices = jnp.asarray(np.random.default_rng(0).normal(size=(4, HIDDEN, HIDDEN)), jnp.float32)
    matrices = matrices / jnp.linalg.norm(matrices, axis=(1, 2), keepdims=True)
    settings = {"iterations": 3, "preconditioning": preconditioning, "dtype": jnp.float32}
    elsewhere = [muon._orthogonal(m, square_of=muon._square, **settings) for m in matrices]
    here = muon.orthogonal(matrices, **settings)
    np.testing.assert_allclose(here, jnp.stack(elsewhere), rtol=1e-4, atol=1e-5)
