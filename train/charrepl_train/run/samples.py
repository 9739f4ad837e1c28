"""Text from a model, for the eye: what training shows while it runs."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from charrepl_train.model import network, products
from charrepl_train.model.network import Definition
from charrepl_train.model.parameters import Params
from charrepl_train.text.vocabulary import UNKNOWN, Vocabulary


@functools.partial(jax.jit, static_argnums=(0, 5))
def _generate(
    definition: Definition,
    params: Params,
    prompt: jax.Array,
    temperature: jax.Array,
    key: jax.Array,
    count: int,
) -> jax.Array:
    model = network.bind(definition, params)

    def read(carry: jax.Array, token: jax.Array) -> tuple[jax.Array, None]:
        return model.step(carry, token[None]), None

    def write(carry: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = model.logits(carry)[0].at[UNKNOWN].set(-jnp.inf)
        drawn = jax.random.categorical(key, logits / jnp.maximum(temperature, 1e-6))
        token = jnp.where(temperature > 0, drawn, jnp.argmax(logits))
        return model.step(carry, token[None]), token

    with products.in_precision("f32"):
        carry, _ = jax.lax.scan(read, model.initial_carry(1), prompt)
        return jax.lax.scan(write, carry, jax.random.split(key, count))[1]


def generate(
    definition: Definition,
    params: Params,
    vocabulary: Vocabulary,
    *,
    prompt: str = "\n",
    characters: int = 200,
    temperature: float = 0.0,
    seed: int = 0,
) -> str:
    """`characters` more characters after `prompt`, from a zero carry; greedy at temperature 0."""
    tokens = _generate(
        definition,
        params,
        jnp.asarray(vocabulary.encode(prompt)),
        jnp.float32(temperature),
        jax.random.key(seed),
        characters,
    )
    return vocabulary.decode(jax.device_get(tokens))
