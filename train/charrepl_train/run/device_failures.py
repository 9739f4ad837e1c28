"""What a device fails with, as an error that says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from charrepl.errors import CharreplError, reason
from charrepl_train.hyperparameters import Config


@contextlib.contextmanager
def in_one_line(config: Config, directory: Path) -> Iterator[None]:
    """Turns what a device fails with, most often its memory, into an error that says what to lower."""
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        out_of_memory = "RESOURCE_EXHAUSTED" in str(error)  # while tracing it comes as a ValueError
        if isinstance(error, ValueError) and not out_of_memory:
            raise
        cause = "is out of memory" if out_of_memory else f"failed ({reason(error)})"
        kept = f", under another --name; what was saved before is kept in {directory}"
        raise CharreplError(
            f"the device {cause} with hidden_size = {config.model.hidden_size} and "
            f"batch_size = {config.training.batch_size}: train with a lower one in a --config file"
            + (kept if directory.exists() else "")
        ) from error
