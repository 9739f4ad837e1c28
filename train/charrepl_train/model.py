"""The model: stacked LSTMs over one-hot characters, a dense layer over the vocabulary."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from charrepl_train import lstm
from charrepl_train.config import ModelConfig

Definition = Any  # nnx.GraphDef[CharacterModel]
Params = dict[str, Any]  # nested: {"layers": {"0": {"w_ih", "w_hh", "b"}, ...}, "output": {"w", "b"}}


class Layer(nnx.Module):
    """One LSTM layer's weights: w_ih [inputs, 4H], w_hh [H, 4H], b [4H], gates in i, f, o, g order."""

    def __init__(self, inputs: int, hidden_size: int, *, forget_bias: float, rngs: nnx.Rngs) -> None:
        lecun, orthogonal = nnx.initializers.lecun_normal(), nnx.initializers.orthogonal()
        b = jnp.zeros(4 * hidden_size).at[hidden_size : 2 * hidden_size].set(forget_bias)
        self.w_ih = nnx.Param(lecun(rngs.params(), (inputs, 4 * hidden_size)))
        # An orthogonal matrix a gate, as flax's own LSTM cells start.
        gates = [orthogonal(rngs.params(), (hidden_size, hidden_size)) for _ in range(4)]
        self.w_hh = nnx.Param(jnp.concatenate(gates, axis=1))
        self.b = nnx.Param(b)


class Output(nnx.Module):
    """The dense layer over the vocabulary: w [H, V], b [V]."""

    def __init__(self, hidden_size: int, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.w = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), (hidden_size, vocabulary)))
        self.b = nnx.Param(jnp.zeros(vocabulary))


class CharacterModel(nnx.Module):
    """A character-level LSTM.

    Its carry is f32 [batch, layers, 2, hidden] (h, then c): all a layer remembers of the text so
    far, in one array of fixed size, so that keeping a writer's place is keeping one row.
    """

    def __init__(
        self,
        config: ModelConfig,
        vocabulary: int,
        *,
        rngs: nnx.Rngs,
        forget_bias: float = 0.0,
        dtype: DTypeLike = jnp.float32,
    ) -> None:
        self.config = config
        self.dtype = dtype
        sizes = [vocabulary] + [config.hidden_size] * (config.layers - 1)
        self.layers = nnx.Dict(
            {
                str(n): Layer(size, config.hidden_size, forget_bias=forget_bias, rngs=rngs)
                for n, size in enumerate(sizes)
            }
        )
        self.output = Output(config.hidden_size, vocabulary, rngs=rngs)

    def initial_carry(self, batch: int) -> jax.Array:
        """f32 [batch, layers, 2, hidden] of zeros."""
        return jnp.zeros((batch, self.config.layers, 2, self.config.hidden_size))

    def logits(self, carry: jax.Array) -> jax.Array:
        """f32 [batch, vocabulary] for the character after the carry [batch, layers, 2, hidden]."""
        return self._output(carry[:, -1, 0])

    def step(self, carry: jax.Array, tokens: jax.Array) -> jax.Array:
        """The carry [batch, layers, 2, hidden] after one more character each, int32 [batch]."""
        inputs, after = None, []
        for n, layer in enumerate(self.layers.values()):
            projected = self._project(layer, tokens, inputs)
            (h, c), _ = lstm.step(projected, (carry[:, n, 0], carry[:, n, 1]), layer.w_hh[...], self.dtype)
            after.append(jnp.stack([h, c], axis=1))
            inputs = h
        return jnp.stack(after, axis=1)

    def __call__(
        self, carry: jax.Array, tokens: jax.Array, *, dropout: float = 0.0, key: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """The carry after all of `tokens`, and f32 logits [batch, time, vocabulary] after each.

        carry: f32 [batch, layers, 2, hidden]; tokens: int32 [batch, time]. With a `key`, that part
        of each layer's outputs is zeroed, the same ones at all times (Gal & Ghahramani, 2016).
        """
        tokens = tokens.T  # time first: a scan then reads contiguous rows
        inputs: jax.Array | None = None
        after = []
        for n, layer in enumerate(self.layers.values()):
            projected = self._project(layer, tokens, inputs)
            h, last = lstm.recur(projected, (carry[:, n, 0], carry[:, n, 1]), layer.w_hh[...], self.dtype)
            after.append(jnp.stack(last, axis=1))
            if key is not None and dropout > 0:
                kept = jax.random.bernoulli(jax.random.fold_in(key, n), 1 - dropout, h.shape[1:])
                h = h * (kept / (1 - dropout))
            inputs = h
        assert inputs is not None  # there is a layer at least
        return jnp.stack(after, axis=1), self._output(inputs).swapaxes(0, 1)

    def _project(self, layer: Layer, tokens: jax.Array, inputs: jax.Array | None) -> jax.Array:
        # A one-hot product is a lookup; the bias is folded into the table, of one row a character.
        if inputs is None:
            return lstm.lookup(layer.w_ih[...] + layer.b[...], tokens, self.dtype)
        return lstm.product(inputs, layer.w_ih[...], self.dtype) + layer.b[...]

    def _output(self, h: jax.Array) -> jax.Array:
        return lstm.product(h, self.output.w[...], self.dtype) + self.output.b[...]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _start(config: ModelConfig, vocabulary: int, forget_bias: float, key: jax.Array) -> Params:
    # As one program: made one operation at a time, 3 x 512 takes four times as long.
    model = CharacterModel(config, vocabulary, rngs=nnx.Rngs(params=key), forget_bias=forget_bias)
    return dict(nnx.to_pure_dict(nnx.split(model, nnx.Param)[1]))


def build(
    config: ModelConfig,
    vocabulary: int,
    *,
    seed: int = 0,
    forget_bias: float = 0.0,
    dtype: DTypeLike = jnp.float32,
) -> tuple[Definition, Params]:
    """A new model as its definition and its weights; `bind` puts them together again.

    Kept apart because jax.jit over a pure function of the weights costs a sixth of what nnx.jit
    costs a call.
    """
    definition, _ = abstract(config, vocabulary, dtype=dtype)
    return definition, _start(config, vocabulary, forget_bias, jax.random.key(seed))


def abstract(
    config: ModelConfig, vocabulary: int, *, dtype: DTypeLike = jnp.float32
) -> tuple[Definition, Params]:
    """As `build`, with the shapes and types of the weights in place of the weights."""
    model = nnx.eval_shape(lambda: CharacterModel(config, vocabulary, rngs=nnx.Rngs(params=0), dtype=dtype))
    definition, state = nnx.split(model, nnx.Param)
    return definition, nnx.to_pure_dict(state)


def bind(definition: Definition, params: Params) -> CharacterModel:
    """The model with these weights. Cheap only while tracing: call it inside a jitted function."""
    state = nnx.State({name: jax.tree.map(nnx.Param, tree) for name, tree in params.items()})
    model: CharacterModel = nnx.merge(definition, state)
    return model
