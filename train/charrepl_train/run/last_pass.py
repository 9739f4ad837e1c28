"""One more short pass, over what a run has set aside: once it has been measured, it may be learnt."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import msgspec
import numpy as np

from charrepl_train.devices.data_parallel import Devices
from charrepl_train.hyperparameters import Config
from charrepl_train.model.network import Definition
from charrepl_train.model.parameters import Params
from charrepl_train.optimisation.training_step import sharded, start, update
from charrepl_train.text.batching import MOST_STEPS, Batches, Ids

_RATE = 0.001
_BATCH = 16


def learnt(
    definition: Definition,
    config: Config,
    params: Params,
    ids: Ids,
    devices: Devices,
    go_on: Callable[[], None] = lambda: None,
) -> Params:
    """The weights after one pass over a text, with dropout as `config` has it, by Adam at a low rate.

    `params` are to be on all `devices`. `go_on` is called now and then, and may raise to end it.
    """
    training = msgspec.structs.replace(
        config.training,
        optimiser="adam",
        learning_rate=_RATE,
        schedule="cosine",
        batching="streams",
        batch_size=min(_BATCH, config.training.batch_size),
        random_offsets=False,
        average=0.0,
    )
    batches = Batches(ids, training)
    config = msgspec.structs.replace(config, training=training)
    params = jax.tree.map(jnp.array, params)  # which are donated
    state = sharded(start(config, params, batches.batch_size), devices)
    total, rows = batches.steps_per_epoch, devices.rows(batches.batch_size)
    share = devices.share(batches.batch_size)
    for step in range(0, total, MOST_STEPS):
        steps = devices.shard_steps(batches.many(step, min(MOST_STEPS, total - step), rows))
        state, _ = update(definition, training, total, state, steps, np.int32(total), share=share)
        go_on()
    return dict(state["params"])
