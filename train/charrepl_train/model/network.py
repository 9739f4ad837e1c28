"""The model: stacked LSTMs over one-hot characters, a dense layer over the vocabulary."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from charrepl_train.hyperparameters import ModelConfig
from charrepl_train.model import lstm
from charrepl_train.model.lstm import Recur
from charrepl_train.model.parameters import Params

Definition = Any  # nnx.GraphDef[CharacterModel]


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
    """The dense layer over the vocabulary: w [inputs, V], b [V]; inputs are h of the layers that it reads."""

    def __init__(self, inputs: int, vocabulary: int, *, rngs: nnx.Rngs) -> None:
        self.w = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), (inputs, vocabulary)))
        self.b = nnx.Param(jnp.zeros(vocabulary))


class DropoutMasks(NamedTuple):
    """What to leave out while training: the same units at all times (Gal & Ghahramani, 2016)."""

    between: float  # part of each layer's outputs, before the next
    output: float  # part of what the output reads
    recurrent: float  # part of the weights from state to state (DropConnect; Merity et al., 2018)
    key: jax.Array  # another one each step
    share: tuple[int, jax.Array] | None = None  # sequences in the batch, and the first of those that are here

    def units(self, part: float, shape: tuple[int, ...], layer: int) -> jax.Array:
        """The `mask` of a layer's outputs [hidden, batch], or of the sequences that are here."""
        if self.share is None:
            return self.mask(part, shape, layer, 0)
        hidden, here = shape
        batch, first = self.share
        # Drawn for the whole batch on each device: a bit depends on where it is among all of them.
        whole = jnp.pad(self.mask(part, (hidden, batch), layer, 0), ((0, 0), (0, here)))
        return jax.lax.dynamic_slice_in_dim(whole, first, here, axis=1)

    def mask(self, part: float, shape: tuple[int, ...], *where: int) -> jax.Array:
        """0 for what is left out and 1 / (1 - part) for the rest; another one for each `where`."""
        key = functools.reduce(jax.random.fold_in, where, self.key)
        # A byte an element: random bits are most of what a mask costs.
        kept = jax.random.bits(key, shape, jnp.uint8) >= round(part * 256)
        return kept / (1 - round(part * 256) / 256)


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
        recur: Recur = lstm.recur,
    ) -> None:
        self.config = config
        self.dtype = dtype
        self.recur = recur
        sizes = [vocabulary] + [config.hidden_size] * (config.layers - 1)
        self.layers = nnx.Dict(
            {
                str(n): Layer(size, config.hidden_size, forget_bias=forget_bias, rngs=rngs)
                for n, size in enumerate(sizes)
            }
        )
        self.output = Output(config.output_inputs, vocabulary, rngs=rngs)

    def initial_carry(self, batch: int) -> jax.Array:
        """f32 [batch, layers, 2, hidden] of zeros."""
        return jnp.zeros((batch, self.config.layers, 2, self.config.hidden_size))

    def logits(self, carry: jax.Array) -> jax.Array:
        """f32 [batch, vocabulary] for the character after the carry [batch, layers, 2, hidden]."""
        h = carry[:, self._first_read :, 0].reshape(len(carry), -1)
        return lstm.product(h, self.output.w[...], self.dtype) + self.output.b[...]

    def step(self, carry: jax.Array, tokens: jax.Array) -> jax.Array:
        """The carry [batch, layers, 2, hidden] after one more character each, int32 [batch]."""
        inputs, after = None, []
        for n, layer in enumerate(self.layers.values()):
            # A one-hot product is a lookup.
            w_ih = layer.w_ih[...]
            projected = w_ih[tokens] if inputs is None else lstm.product(inputs, w_ih, self.dtype)
            projected = projected + layer.b[...]
            h, c = lstm.step(projected, (carry[:, n, 0], carry[:, n, 1]), layer.w_hh[...], self.dtype)
            after.append(jnp.stack([h, c], axis=1))
            inputs = h
        return jnp.stack(after, axis=1)

    def __call__(
        self, carry: jax.Array, tokens: jax.Array, *, drop: DropoutMasks | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """The carry after all of `tokens`, and f32 logits [batch, time, vocabulary] after each.

        carry: f32 [batch, layers, 2, hidden]; tokens: int32 [batch, time].
        """
        carry, logits = self._read(carry, tokens, drop)
        batch, time = tokens.shape
        return carry, logits.reshape(-1, time, batch).transpose(2, 1, 0)

    def losses(
        self, carry: jax.Array, tokens: jax.Array, targets: jax.Array, *, drop: DropoutMasks | None = None
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The carry after all of `tokens`; nats, f32 [time, batch]; and whether each guess is right.

        carry: f32 [batch, layers, 2, hidden]; tokens and targets: int32 [batch, time].
        """
        carry, logits = self._read(carry, tokens, drop)
        # Neither gather nor argmax: XLA does both one by one on a CPU, forward and back.
        hit = jnp.arange(len(logits))[:, None] == targets.T.reshape(-1)
        picked = jnp.sum(jnp.where(hit, logits, 0), axis=0)
        nats = jax.nn.logsumexp(logits, axis=0) - picked
        return carry, nats.reshape(targets.T.shape), (picked >= logits.max(0)).reshape(targets.T.shape)

    def _read(
        self, carry: jax.Array, tokens: jax.Array, drop: DropoutMasks | None
    ) -> tuple[jax.Array, jax.Array]:
        """The carry after all of `tokens`, and f32 logits [vocabulary, time x batch]."""
        inputs, after, outputs = tokens.T, [], []
        for n, layer in enumerate(self.layers.values()):
            w_hh = layer.w_hh[...]
            if drop is not None and drop.recurrent:
                w_hh = w_hh * drop.mask(drop.recurrent, w_hh.shape, n, 1)
            first = carry[:, n, 0].T, carry[:, n, 1].T
            inputs, last = self.recur(inputs, first, (layer.w_ih[...], w_hh, layer.b[...]), self.dtype)
            after.append(jnp.stack([state.T for state in last], axis=1))
            outputs.append(inputs)
            if drop is not None and drop.between and n < len(self.layers) - 1:
                inputs = inputs * drop.units(drop.between, inputs.shape[1:], n)
        h = jnp.concatenate(outputs[self._first_read :], axis=1)
        if drop is not None and drop.output:
            h = h * drop.units(drop.output, h.shape[1:], len(self.layers) - 1)
        logits = lstm.dense(h, self.output.w[...], self.dtype) + self.output.b[...][:, None]
        return jnp.stack(after, axis=1), logits

    @property
    def _first_read(self) -> int:
        """The first layer that the output reads; it reads all from there on."""
        return self.config.layers - self.config.output_inputs // self.config.hidden_size


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
    recur: Recur = lstm.recur,
) -> tuple[Definition, Params]:
    """A new model as its definition and its weights; `bind` puts them together again.

    Kept apart because jax.jit over a pure function of the weights costs a sixth of what nnx.jit
    costs a call.
    """
    definition, _ = abstract(config, vocabulary, dtype=dtype, recur=recur)
    return definition, _start(config, vocabulary, forget_bias, jax.random.key(seed))


def abstract(
    config: ModelConfig,
    vocabulary: int,
    *,
    dtype: DTypeLike = jnp.float32,
    recur: Recur = lstm.recur,
) -> tuple[Definition, Params]:
    """As `build`, with the shapes and types of the weights in place of the weights."""
    model = nnx.eval_shape(
        lambda: CharacterModel(config, vocabulary, rngs=nnx.Rngs(params=0), dtype=dtype, recur=recur)
    )
    definition, state = nnx.split(model, nnx.Param)
    return definition, nnx.to_pure_dict(state)


def bind(definition: Definition, params: Params) -> CharacterModel:
    """The model with these weights. Cheap only while tracing: call it inside a jitted function."""
    state = nnx.State({name: jax.tree.map(nnx.Param, tree) for name, tree in params.items()})
    model: CharacterModel = nnx.merge(definition, state)
    return model
