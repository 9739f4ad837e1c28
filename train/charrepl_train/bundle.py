"""A model to share: its best weights in bf16, and what serving needs. `python -m charrepl_train.bundle`.

This is how the model inside charrepl was made from the one that was trained.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import jax
import jax.numpy as jnp

from charrepl.cli.exit_codes import exit_codes
from charrepl.errors import CharreplError
from charrepl.system.standard_streams import echo
from charrepl_train.model_directory import checkpoint, loaded_model

_KEPT = ("config.toml", "vocab.json", "learnt.json", "metrics.jsonl", "MODEL_CARD.md")


def bundle(source: Path, target: Path) -> int:
    """Writes the model in `source` to the new directory `target`; returns its size in bytes.

    Raises CharreplError if `source` is not a model or `target` exists.
    """
    if target.exists():
        raise CharreplError(f"{target} exists: remove it or choose another place")
    loaded = loaded_model.load(source)
    target.mkdir(parents=True)
    for name in _KEPT:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    weights = jax.tree.map(lambda w: jnp.asarray(w, jnp.bfloat16), loaded.params)
    checkpoint.save(target, "best", loaded.step, weights)
    return sum(file.stat().st_size for file in target.rglob("*") if file.is_file())


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("target", metavar="NEW_DIR", type=click.Path(path_type=Path))
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@exit_codes
def main(source: Path, target: Path, debug: bool) -> None:
    """Make a small copy of the model in DIR, to pass on."""
    echo(f"{target}: {bundle(source, target):,} bytes")


if __name__ == "__main__":
    main()
