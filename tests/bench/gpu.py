"""What a GPU does with charrepl: `make bench-gpu`. First whether it is right, then how fast, as JSON.

What it needs beside the repository:

- an NVIDIA GPU with 8 GB that nothing else uses, a driver for CUDA 13, and Linux;
- four cores and 16 GB of memory: 500 writers are simulated on the same machine;
- what `make bench-gpu` installs: the extras test, cuda, and bench, whose PyTorch for Linux has CUDA;
- ten minutes, and no network after the installation. The texts are in the repository.

Without a GPU it says so, and checks in a tiny size that its pieces run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.bench import daemon_speed, results, train_speed

# What is measured, what it is to reach, and what would be more than that.
ROWS = (
    ("training in f32, 128 x 64, over cuDNN's PyTorch", "1.0 x", "1.3 x"),
    ("training in bf16, 128 x 64, over cuDNN's PyTorch", "1.0 x", "1.3 x"),
    ("a key to a whole ghost of 24 characters, p50", "10 ms", "3 ms"),
    ("a key to a whole ghost of 24 characters, p99", "20 ms", "6 ms"),
    ("500 writers at 8 keys a second, first piece, p99", "50 ms", "20 ms"),
    ("100 epochs of `--preset seed` on a megabyte", "120 s", "50 s"),
)
MOST_ERROR = 1e-4  # of the largest number
MEGABYTE = 1_115_394
PART_S = 180  # a process of a part at most; one that takes longer leaves its row open
LAST_S = 420  # after so long no part begins


def layer_error(*, small: bool) -> float:
    """How far the layer that a run takes is from a textbook's in float64, gradients included."""
    import jax.numpy as jnp
    import numpy as np

    from charrepl_train.devices import jax_setup
    from charrepl_train.model import cudnn, lstm, products
    from tests.charrepl_train.model.test_lstm import in_f32, in_f64, operands, textbook

    values = operands(*((3, 7, 5, 5) if small else (32, 50, 256, 256)))
    scale = values["w_hh"].shape[0] ** -0.5
    values = {name: value * (scale if name.startswith("w") else 1) for name, value in values.items()}
    recur = cudnn.recur if jax_setup.has_gpu() else lstm.recur

    def taken(x: Any, h: Any, c: Any, w_ih: Any, w_hh: Any, b: Any) -> tuple[Any, ...]:
        outputs, (h, c) = recur(x.swapaxes(1, 2), (h.T, c.T), (w_ih, w_hh, b), jnp.float32)
        return outputs.swapaxes(1, 2), h.T, c.T

    with products.in_precision("f32"):
        _, found = in_f32(taken, values)
    _, exact = in_f64(textbook, values)
    pairs = [(np.asarray(found[name]), np.asarray(exact[name])) for name in exact]
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def serving_error(*, small: bool) -> float:
    """How far the bundled model's logits as served are from those in float64."""
    import numpy as np

    from charrepl.settings import model_names
    from charrepl_train.model_directory import loaded_model
    from tests.charrepl_daemon.model.test_serving_lstm import read
    from tests.conftest import textbook_lstm

    loaded = loaded_model.load(model_names.bundled_dir())
    shape = (1, 2) if small else (8, 64)
    tokens = np.random.default_rng(0).integers(1, len(loaded.vocabulary), shape).astype(np.int32)
    served, _ = read(loaded.params, tokens, precision="f32")
    exact = textbook_lstm(loaded.params, tokens)[1]
    return float(np.abs(served - exact).max() / np.abs(exact).max())


def _checked(what: str, error: float) -> None:
    print(f"{what}: {error:.1e} of the largest number from float64", flush=True)
    if not error <= MOST_ERROR:
        raise SystemExit(f"{what} is wrong here: {error:.1e} is more than {MOST_ERROR:g}. Nothing is timed.")


def _speed(who: str, precision: str) -> float:
    command = [sys.executable, "-m", "tests.bench.train_speed", "--only", who, "128", "64", precision]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PART_S)
    speeds = json.loads(done.stdout.splitlines()[-1])
    return float(sorted(speeds)[len(speeds) // 2])


def training() -> Iterator[str]:
    """Our speed over PyTorch's, by precision."""
    for precision in ("f32", "bf16"):
        yield f"{_speed('ours', precision) / _speed('torch', precision):.2f} x"


def seed(*, small: bool = False) -> Iterator[str]:
    """Seconds of the whole command; the text's content does not matter to its time."""
    text = (results.ROOT / "tests" / "corpus.txt").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="cr-") as place:
        corpus = Path(place) / "corpus.txt"
        corpus.write_text((text * (MEGABYTE // len(text) + 1))[: 20_000 if small else MEGABYTE], "utf-8")
        command = [sys.executable, "-m", "charrepl_train", str(corpus), "--preset", "seed", "--quiet"]
        began = time.perf_counter()
        subprocess.run([*command, "--out", f"{place}/m"], check=True, timeout=PART_S)
        yield f"{time.perf_counter() - began:.0f} s"


def ghosts() -> Iterator[str]:
    """Percentiles through the socket."""
    rows = list(daemon_speed.ghost(["auto"]))
    (row,) = [row for row in rows if "24" in row["key_to"] and "socket" in row["way"]]
    yield from (f"{row['p50_ms']} ms", f"{row['p99_ms']} ms")


def crowd() -> Iterator[str]:
    """The 99th percentile over many writers."""
    (row,) = daemon_speed.writers(["auto"])
    yield f"{row['p99_ms']} ms"


def _measured(part: Callable[[], Iterator[str]], count: int) -> list[str | None]:
    """What a part measured; None for what it could not."""
    found: list[str | None] = []
    try:
        for value in part():
            found.append(value)
    except Exception as error:  # the other rows are worth having
        print(f"{part.__name__}: {error}", file=sys.stderr, flush=True)
    return found + [None] * (count - len(found))


def table(values: Sequence[str | None]) -> list[results.Row]:
    """The rows with what was measured; open where that is None."""
    return [
        {"what": what, "measured": value or "–", "to_reach": reach, "beyond": beyond}
        for (what, reach, beyond), value in zip(ROWS, values, strict=True)
    ]


def tiny() -> None:
    """Runs each piece once on the processor, as small as it goes."""
    _checked("the layer", layer_error(small=True))
    _checked("serving", serving_error(small=True))
    train_speed.HIDDEN, train_speed.LAYERS, train_speed.MEASURED_S = 8, 1, 0.1
    assert train_speed.measure("ours", 8, 5, "f32")
    daemon_speed.TURNS, daemon_speed.KEYS = 1, daemon_speed.KEYS[:3]
    assert all(ghosts())


def main() -> None:
    """Prints the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    results.add_option(parser)
    arguments = parser.parse_args()
    from charrepl_train.devices import jax_setup

    jax_setup.prepare(cache=False)
    if not jax_setup.has_gpu():
        print("There is no GPU here that JAX finds: its pieces are only tried, in a tiny size.", flush=True)
        tiny()
        return
    _checked("the layer", layer_error(small=False))
    _checked("serving", serving_error(small=False))
    daemon_speed.WRITERS = (500,)
    values: list[str | None] = []
    began = time.perf_counter()
    for part, count in ((training, 2), (ghosts, 2), (crowd, 1), (seed, 1)):
        late = time.perf_counter() - began > LAST_S
        values += [None] * count if late else _measured(part, count)
    rows = [{**row, "on": jax_setup.describe()} for row in table(values)]
    print(json.dumps(rows, indent=1, ensure_ascii=False))
    results.write(arguments.results, "gpu", rows)


if __name__ == "__main__":
    main()
