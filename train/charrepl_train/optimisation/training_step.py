"""A training step, and as many of them in one call as are wanted; pure functions of the state."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from charrepl_train.devices.data_parallel import AXIS, REPLICATED, Devices, Share
from charrepl_train.hyperparameters import Config, TrainingConfig
from charrepl_train.model import network, products
from charrepl_train.model.network import Definition, DropoutMasks
from charrepl_train.model.parameters import Params
from charrepl_train.optimisation.muon import scale_by_muon_or
from charrepl_train.text.batching import MOST_STEPS, Steps

State = dict[str, Any]  # params, average (if there is one), optimiser, carry, step, best


class StepResult(NamedTuple):
    """What is known after some steps."""

    losses: jax.Array  # f32 [MOST_STEPS], nats per character of each step's batch
    accuracy: jax.Array  # of the last batch
    learning_rate: jax.Array  # of the last step


def start(config: Config, params: Params, batch_size: int) -> State:
    """The state before the first step."""
    state: State = {
        "params": params,
        "optimiser": optimiser(config.training).init(params),
        "carry": jnp.zeros((batch_size, config.model.layers, 2, config.model.hidden_size)),
        "step": jnp.int32(0),
        "best": jnp.float32(jnp.inf),
    }
    if config.training.average:
        # A copy: both are donated.
        state["average"] = jax.tree.map(jnp.array, params)
    return state


def sharded(state: State, devices: Devices) -> State:
    """Process 0's state on all devices, with the carry spread by batch.

    A state that is sharded already is not changed.
    """
    if devices.mesh is None or isinstance(state["step"].sharding, NamedSharding):
        return state
    state = devices.broadcast(state)
    carry = devices.shard(devices.own_rows(np.asarray(state["carry"])))
    return {name: carry if name == "carry" else devices.replicate(tree) for name, tree in state.items()}


def gathered(state: State, devices: Devices, batch: int) -> State:
    """A `sharded` state in the form that it has on a single device."""
    carry = devices.gather(state["carry"], batch)
    return {name: carry if name == "carry" else devices.local(tree) for name, tree in state.items()}


def evaluated(state: State) -> Params:
    """The weights to measure and to keep: their running average, if there is one."""
    return dict(state["average"] if "average" in state else state["params"])


def learning_rate(
    step: jax.Array, total: jax.Array, steps_per_epoch: int, config: TrainingConfig
) -> jax.Array:
    """The rate of a step: warm-up, then cosine, or constant and a straight fall; or stepwise decay."""
    if config.schedule == "steps":
        decays = jnp.floor(step / (config.decay_epochs * steps_per_epoch))
        return config.learning_rate * config.decay**decays
    warmup = jnp.ceil(config.warmup * total)
    progress = jnp.clip((step - warmup) / jnp.maximum(total - warmup, 1), 0, 1)
    falling: jax.Array | float = 1.0
    if config.schedule == "cosine":
        falling = 0.5 * (1 + jnp.cos(jnp.pi * progress))
    elif config.cooldown:
        falling = jnp.clip((total - step) / (config.cooldown * total), 0, 1)
    after = config.final_rate + (1 - config.final_rate) * falling
    return config.learning_rate * jnp.where(step < warmup, (step + 1) / (warmup + 1), after)


def optimiser(config: TrainingConfig) -> optax.GradientTransformation:
    """Adam or Muon with decoupled weight decay, before the learning rate (the rate multiplies both)."""
    clip = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
    scale = optax.scale_by_adam(b2=config.beta2)
    if config.optimiser == "muon":
        in_bf16 = config.precision == "bf16" and config.muon_precision == "same"
        scale = scale_by_muon_or(
            scale,
            iterations=config.muon_iterations,
            preconditioning=config.muon_preconditioning,
            dtype=jnp.bfloat16 if in_bf16 else jnp.float32,
            other_rate=config.adam_rate,
        )
    return optax.chain(
        *clip,
        scale,
        optax.add_decayed_weights(config.weight_decay),
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2), static_argnames="share", donate_argnums=3)
def update(
    definition: Definition,
    config: TrainingConfig,
    steps_per_epoch: int,
    state: State,
    steps: Steps,
    total: jax.Array,
    *,
    share: Share | None = None,
) -> tuple[State, StepResult]:
    """The state after some steps, and what they measured. The state passed in is donated.

    With a `share`, the batch is spread over several devices: `steps` by batch, and so is the carry.

    One call for many steps saves what a call costs: on a GPU the dispatch, on a CPU the temporary
    arrays, which the system maps afresh at each. The steps are the same ones however many a call
    takes: their number is traced, so that one program runs them all.
    """
    several = functools.partial(_several, definition, config, steps_per_epoch, share)
    if share is not None:
        # Not left to the partitioner, which would first gather what lies [time, batch] side by side.
        states = {name: PartitionSpec(AXIS) if name == "carry" else REPLICATED for name in state}
        specs: Any = (PartitionSpec(None, AXIS), PartitionSpec(None, AXIS), REPLICATED)
        several = share.shard_map(several, (states, Steps(*specs), REPLICATED), (states, REPLICATED))
    return several(state, steps, total)


def _several(
    definition: Definition,
    config: TrainingConfig,
    steps_per_epoch: int,
    share: Share | None,
    state: State,
    steps: Steps,
    total: jax.Array,
) -> tuple[State, StepResult]:
    def one(n: jax.Array, before: tuple[State, StepResult]) -> tuple[State, StepResult]:
        state, measured = before
        reset, window = jnp.asarray(steps.resets)[n], jnp.asarray(steps.windows)[n]
        with products.in_precision(config.precision):
            state, loss, accuracy, rate = _step(
                definition, config, steps_per_epoch, share, state, reset, window, total
            )
        return state, StepResult(measured.losses.at[n].set(loss), accuracy, rate)

    nothing = StepResult(jnp.zeros(MOST_STEPS), jnp.float32(0), jnp.float32(0))
    after: tuple[State, StepResult] = jax.lax.fori_loop(0, steps.number, one, (state, nothing))
    return after


def _step(
    definition: Definition,
    config: TrainingConfig,
    steps_per_epoch: int,
    share: Share | None,
    state: State,
    reset: jax.Array,
    window: jax.Array,
    total: jax.Array,
) -> tuple[State, jax.Array, jax.Array, jax.Array]:
    step = state["step"]
    carry = jnp.where(reset[:, None, None, None], 0.0, state["carry"])
    drop = DropoutMasks(
        config.dropout,
        config.output_dropout,
        config.weight_drop,
        jax.random.fold_in(jax.random.key(config.seed), step),
        None if share is None else (share.batch, share.first()),
    )
    mean = jnp.mean if share is None else share.mean

    def loss_of(params: Params) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        model = network.bind(definition, params)
        after, nats, right = model.losses(carry, window[:, :-1], window[:, 1:], drop=drop)
        return mean(nats), (after, mean(right))

    before = state["params"] if share is None else share.varying(state["params"])
    (loss, (carry, accuracy)), gradient = jax.value_and_grad(loss_of, has_aux=True)(before)
    if share is not None:
        loss, accuracy, gradient = jax.lax.psum((loss, accuracy, gradient), AXIS)
    rate = learning_rate(step, total, steps_per_epoch, config)
    changes, opt_state = optimiser(config).update(gradient, state["optimiser"], state["params"])
    params = jax.tree.map(lambda p, change: p - rate * change, state["params"], changes)
    after = {**state, "params": params, "optimiser": opt_state, "carry": carry, "step": step + 1}
    if config.average:
        # The first weights are random: the average forgets them faster than it forgets later ones.
        decay = jnp.minimum(config.average, (step + 1) / (step + 10))
        after["average"] = jax.tree.map(lambda a, p: decay * a + (1 - decay) * p, state["average"], params)
    return after, loss, accuracy, rate
