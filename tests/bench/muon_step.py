"""What a training step with Muon takes beside one with Adam: part of `make bench-train`.

3 x 512 and 64 x 64 in bf16, as the preset `gpu`, without its dropout and with output from the last layer
alone; Muon with two iterations, as in the presets, and with three. All in one process, a call of each by
turns, so that what else a machine does meets all alike.
"""

from __future__ import annotations

import argparse
import statistics

from charrepl_train.devices import jax_setup
from tests.bench import results, train_speed

BATCH, TIME = 64, 64
STEPS = 4  # a call
ROUNDS = 12
OPTIMISERS: dict[str, dict[str, object]] = {
    "Adam": {"optimiser": "adam"},
    "Muon": {
        "optimiser": "muon",
        "muon_precision": "same",
        "muon_iterations": 2,
        "muon_preconditioning": "aol",
    },
    "Muon, three iterations": {"optimiser": "muon", "muon_precision": "same"},
}


def measure() -> dict[str, list[float]]:
    """Characters a second of each call of each optimiser, in the order of the rounds."""
    runs = {name: train_speed.ours(BATCH, TIME, "bf16", **settings) for name, settings in OPTIMISERS.items()}
    for run in runs.values():
        train_speed.speed(run, BATCH, TIME, STEPS)
    speeds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, run in runs.items():
            speeds[name].append(train_speed.speed(run, BATCH, TIME, STEPS))
    return speeds


def main() -> None:
    """Prints a line for each optimiser."""
    parser = argparse.ArgumentParser()
    results.add_option(parser)
    arguments = parser.parse_args()
    jax_setup.use_huge_pages()
    speeds = measure()
    rows: list[results.Row] = []
    for name, found in speeds.items():
        over = [adam / own for adam, own in zip(speeds["Adam"], found, strict=True)]
        best = max(speeds["Adam"]) / max(found)
        rows.append(
            {
                "optimiser": name,
                "characters_per_s": round(statistics.median(found)),
                "over_adam": round(statistics.median(over), 2),
                "over_adam_fastest": round(best, 2),
            }
        )
        print(
            f"{name:22} {statistics.median(found):7,.0f} characters/s"
            f"  a step over Adam's {statistics.median(over):.2f}, fastest {best:.2f}",
            flush=True,
        )
    results.write(arguments.results, "muon_step", rows)


if __name__ == "__main__":
    main()
