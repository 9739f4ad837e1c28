"""A model's directory whose files have changed, though what it writes has not."""

from __future__ import annotations

from pathlib import Path


def change(directory: Path) -> None:
    """Adds a comment to its settings, so that a reload makes an engine anew."""
    config, replacement = directory / "config.toml", directory / "config.toml.new"
    replacement.write_bytes(config.read_bytes() + b"# changed\n")
    replacement.replace(config)
