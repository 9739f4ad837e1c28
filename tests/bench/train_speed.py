"""Characters a second in training, beside PyTorch on the same machine: `make bench-train`.

Both train the same model (3 x 512, one-hot characters in, 65 out) on the same shapes, with carried
state, gradient clipping and AdamW, each in processes of its own that take turns, a few steps a timing;
ours as charrepl-train does, in huge pages where the system waits to be asked; PyTorch as its users
would: nn.LSTM, fused AdamW and, for bf16, autocast (`--huge` gives it huge pages too). Each takes the
GPU, if it finds one, and cuDNN there. Prints medians, the best and their ratio; and what part of the time
of our fastest step its products alone would take, at the rate of the fastest product that was found.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from charrepl_train.devices import jax_setup
from charrepl_train.text import batching
from tests.bench import results

VOCABULARY, HIDDEN, LAYERS = 65, 512, 3
SHAPES = ((128, 64), (32, 50))
PRECISIONS = ("bf16", "f32")
ROUNDS = 3  # processes each
MEASURED_S = 8.0  # a process, after its warm-up
CALL_S = 0.2  # a call at least, where so many steps may be in one
PRODUCT_S = 1.0  # a product is tried
RATE = 2e-3

Run = Callable[[int], None]  # takes so many steps


def ours(batch: int, time_: int, precision: str, **training: object) -> Run:
    """A function that takes some steps; `training`: further settings."""
    jax_setup.prepare()
    import jax
    import jax.numpy as jnp

    from charrepl_train import hyperparameters
    from charrepl_train.model import cudnn, network, products
    from charrepl_train.optimisation import training_step

    config = hyperparameters.replace(
        hyperparameters.Config(),
        model={"layers": LAYERS, "hidden_size": HIDDEN},
        training={
            "batch_size": batch,
            "sequence_length": time_,
            "precision": precision,
            "learning_rate": RATE,
            **training,
        },
    )
    ids = np.random.default_rng(0).integers(0, VOCABULARY, 1_000_000)
    batches = batching.Batches(ids, config.training)
    dtype = products.dtype(precision)
    recur = cudnn.fastest(HIDDEN, batch, time_, precision)
    definition, params = network.build(config.model, VOCABULARY, dtype=dtype, recur=recur)
    state = training_step.start(config, params, batch)
    step = 0

    def run(steps: int) -> None:
        nonlocal state, step
        state, measured = training_step.update(
            definition, config.training, 1000, state, batches.many(step, steps), jnp.int32(1000)
        )
        jax.block_until_ready(measured)
        step += steps

    return run


def torch(batch: int, time_: int, precision: str) -> Run:
    """As `ours`."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    place = "cuda" if torch.cuda.is_available() else "cpu"
    lstm = nn.LSTM(VOCABULARY, HIDDEN, LAYERS, batch_first=True).to(place)
    dense = nn.Linear(HIDDEN, VOCABULARY).to(place)
    params = [*lstm.parameters(), *dense.parameters()]
    optimiser = torch.optim.AdamW(params, lr=RATE, fused=True)
    generator = torch.Generator().manual_seed(0)
    state = None

    def step() -> None:
        nonlocal state
        window = torch.randint(0, VOCABULARY, (batch, time_ + 1), generator=generator).to(place)
        with torch.autocast(place, torch.bfloat16, enabled=precision == "bf16"):
            h, state = lstm(F.one_hot(window[:, :-1], VOCABULARY).float(), state)
            logits = dense(h)
        loss = F.cross_entropy(logits.float().flatten(0, 1), window[:, 1:].flatten())
        state = tuple(part.detach() for part in state)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        optimiser.step()

    def run(steps: int) -> None:
        for _ in range(steps):
            step()
        if place == "cuda":
            torch.cuda.synchronize()

    return run


def product(batch: int, time_: int, precision: str) -> list[float]:
    """Characters a second, if their products alone took time, at the rate of the fastest of some products.

    They are those of a character, forward and back, and those of all times and of a large square.
    """
    jax_setup.prepare()
    import jax
    import jax.numpy as jnp

    from charrepl_train.model import products

    # Multiply-adds of a character: forward, and back to weights and to inputs, but for one-hot ones.
    inner, first = HIDDEN * (4 * HIDDEN * (2 * LAYERS - 1) + VOCABULARY), VOCABULARY * 4 * HIDDEN
    each = 3 * inner + 2 * first
    dtype = products.dtype(precision)
    multiply = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    found = []
    for n, k, m in (
        (4 * HIDDEN, 2 * HIDDEN, batch),
        (2 * HIDDEN, 4 * HIDDEN, batch),
        (2 * HIDDEN, batch * time_, 4 * HIDDEN),
        (4 * HIDDEN, 4 * HIDDEN, 4 * HIDDEN),
    ):
        keys = jax.random.split(jax.random.key(0))
        a, b = jax.random.normal(keys[0], (n, k), dtype), jax.random.normal(keys[1], (k, m), dtype)
        began = time.perf_counter()
        while time.perf_counter() - began < PRODUCT_S:
            start = time.perf_counter()
            jax.block_until_ready(multiply(a, b))
            found.append(n * k * m / (time.perf_counter() - start) / each)
    return found


def measure(who: str, batch: int, time_: int, precision: str) -> list[float]:
    """Characters a second of each call."""
    if who == "product":
        return [max(product(batch, time_, precision))]
    run = (ours if who == "ours" else torch)(batch, time_, precision)
    steps = 1 + 256 // batch
    for _ in range(2):
        run(steps)
    start = time.perf_counter()
    run(steps)
    # A GPU takes many steps in the time in which a processor takes one, and a call has its price.
    steps = max(steps, min(batching.MOST_STEPS, int(CALL_S * steps / (time.perf_counter() - start))))
    speeds, began = [], time.perf_counter()
    while time.perf_counter() - began < MEASURED_S:
        speeds.append(speed(run, batch, time_, steps))
    return speeds


def speed(run: Run, batch: int, time_: int, steps: int) -> float:
    """Characters a second of some steps."""
    start = time.perf_counter()
    run(steps)
    return steps * batch * time_ / (time.perf_counter() - start)


def main() -> None:
    """Prints a line for each shape and precision, or measures one side of one (`--only`)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs=4)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--huge", action="store_true", help="give PyTorch huge pages too")
    results.add_option(parser)
    arguments = parser.parse_args()
    if arguments.only:
        who, batch, time_, precision = arguments.only
        if who != "torch" or arguments.huge:
            jax_setup.use_huge_pages()
        try:
            print(json.dumps(measure(who, int(batch), int(time_), precision)))
        except RuntimeError as error:
            if who != "torch":
                raise
            # PyTorch has no bf16 LSTM for processors without such products.
            print(json.dumps(str(error)))
        return
    rows: list[results.Row] = []
    print(f"{LAYERS} x {HIDDEN}, characters/s: median (best)")
    for precision in PRECISIONS:
        for shape in SHAPES:
            speeds: dict[str, list[float]] = {"ours": [], "torch": [], "product": []}
            failed: dict[str, str] = {}
            for _ in range(arguments.rounds):
                for who, seen in speeds.items():
                    if who in failed:
                        continue
                    command = [sys.executable, "-m", "tests.bench.train_speed", "--only", who]
                    command += [*map(str, shape), precision, *(["--huge"] if arguments.huge else [])]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    found = json.loads(done.stdout.splitlines()[-1])
                    if isinstance(found, str):
                        failed[who] = found
                    else:
                        seen += found
            if failed:
                told = "; ".join(f"{who} cannot: {why}" for who, why in failed.items())
                print(f"{precision:5} {shape[0]:4} x {shape[1]:<3}  {told}", flush=True)
                continue
            middle = {who: statistics.median(seen) for who, seen in speeds.items()}
            best = {who: max(seen) for who, seen in speeds.items()}
            rows.append(
                {
                    "precision": precision,
                    "batch": shape[0],
                    "sequence": shape[1],
                    "charrepl_characters_per_s": round(middle["ours"]),
                    "pytorch_characters_per_s": round(middle["torch"]),
                    "ratio": round(middle["ours"] / middle["torch"], 2),
                    "over_fastest_product": round(best["ours"] / best["product"], 2),
                }
            )
            print(
                f"{precision:5} {shape[0]:4} x {shape[1]:<3}"
                + "".join(f"  {who} {middle[who]:7,.0f} ({best[who]:7,.0f})" for who in speeds)
                + f"  ratio {middle['ours'] / middle['torch']:.2f} ({best['ours'] / best['torch']:.2f})"
                + f"  over the fastest product {best['ours'] / best['product']:.2f}",
                flush=True,
            )
    results.write(arguments.results, "train_speed", rows)


if __name__ == "__main__":
    main()
