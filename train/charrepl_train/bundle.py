"""A model to pass on: its best weights in bf16, and what serving needs. `python -m charrepl_train.bundle`.

This is how the model inside charrepl was made from the one that was trained.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import jax
import jax.numpy as jnp

from charrepl.errors import CharreplError
from charrepl_train import checkpoint

_KEPT = ("config.toml", "vocab.json", "metrics.jsonl", "MODEL_CARD.md")


def bundle(source: Path, target: Path) -> int:
    """Writes the model in `source` to the new directory `target`; returns its size in bytes.

    Raises CharreplError if `source` is no model or `target` exists.
    """
    if target.exists():
        raise CharreplError(f"{target} exists: remove it or choose another place")
    loaded = checkpoint.load_model(source)
    target.mkdir(parents=True)
    for name in _KEPT:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    weights = jax.tree.map(lambda w: jnp.asarray(w, jnp.bfloat16), loaded.params)
    checkpoint.save(target, "best", loaded.step, weights)
    return sum(file.stat().st_size for file in target.rglob("*") if file.is_file())


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    print(f"{target}: {bundle(source, target):,} bytes")
