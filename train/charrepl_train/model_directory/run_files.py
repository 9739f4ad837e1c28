"""What a run writes into its model's directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from charrepl.errors import CharreplError
from charrepl.files import whole_file
from charrepl.system import disk_errors
from charrepl_train import hyperparameters
from charrepl_train.hyperparameters import Config
from charrepl_train.model_directory import checkpoint
from charrepl_train.model_directory.records import Run
from charrepl_train.text import fingerprint
from charrepl_train.text.batching import Ids
from charrepl_train.text.fingerprint import Fingerprint
from charrepl_train.text.vocabulary import Vocabulary


class RunFiles:
    """Its methods raise CharreplError if something cannot be written, and do nothing unless it `writes`.

    Of several processes that train together, one writes; the others may have no such directory.
    """

    def __init__(self, directory: Path, *, writes: bool) -> None:
        self.directory = directory
        self._writes = writes

    def write_settings(self, config: Config, vocabulary: Vocabulary) -> None:
        """Writes vocab.json and config.toml."""
        self._write("vocab.json", vocabulary.encoded())
        self._write("config.toml", hyperparameters.dump(config).encode())

    def write_run(self, run: Run) -> None:
        """Writes run.json.

        Only where a run begins, saves and ends: never with losses and times that are not those of the latest
        checkpoint.
        """
        self._write("run.json", msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")

    def write_learnt(self, learnt: Fingerprint) -> None:
        """Writes learnt.json, which tells of texts that were learnt."""
        self._write(fingerprint.FILE, fingerprint.encoded(learnt))

    def add_learnt(self, text: Ids, vocabulary: Vocabulary) -> None:
        """Adds a text to what learnt.json tells of."""
        if self._writes:
            known = fingerprint.load(self.directory)
            self.write_learnt(known | fingerprint.compute([text], vocabulary))

    def save(self, kind: checkpoint.Kind, step: int, tree: Any) -> None:
        """Writes a checkpoint in the place of the one before it."""
        if self._writes:
            checkpoint.save(self.directory, kind, step, tree)

    def log(self, record: msgspec.Struct | dict[str, Any]) -> None:
        """Adds a line to metrics.jsonl."""
        if not self._writes:
            return
        path = self.directory / "metrics.jsonl"
        try:
            with path.open("ab") as file:
                file.write(msgspec.json.encode(record) + b"\n")
        except OSError as error:
            raise CharreplError(
                f"could not write {path}: {disk_errors.cause(error)}: "
                f"{disk_errors.advice(error, 'and run again with --resume')}"
            ) from error

    def _write(self, name: str, data: bytes) -> None:
        if self._writes:
            whole_file.write(self.directory / name, data)
