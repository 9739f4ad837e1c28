"""TensorBoard's event files, made from `metrics.jsonl`."""

from __future__ import annotations

import importlib.util
import io
import time
from collections.abc import Callable
from pathlib import Path

from charrepl.errors import reason
from charrepl_train.model_directory import metrics_history
from charrepl_train.model_directory.metrics_history import Record

_OURS = ".charrepl"  # the end of our files' names; other programs' files stay
_TAGS = {
    "loss": "loss/training",
    "dev_loss": "loss/dev",
    "held_out_loss": "loss/held_out",
    "accuracy": "accuracy",
    "learning_rate": "learning_rate",
    "characters_per_s": "characters_per_s",
}


class TensorBoardEvents:
    """A run's files for TensorBoard, in `tensorboard/` of its directory, if that package is installed.

    The first update of a process writes a new file with everything that was ever measured, and empties the
    old one, so that a resumed run shows each step once. Later updates append to it.
    """

    def __init__(self, directory: Path, *, warn: Callable[[str], None]) -> None:
        self._directory = directory
        self._warn = warn
        self._file: Path | None = None
        self._written = 0  # lines of metrics
        self._on = importlib.util.find_spec("tensorboard") is not None

    def update(self) -> None:
        """Writes what is new. If that fails, `warn` gets one line, once, and training goes on."""
        if not self._on:
            return
        records = metrics_history.read(self._directory)
        try:
            if self._file is None:
                self._file = self._begin()
                with self._file.open("wb") as file:
                    file.write(encode(records, now=time.time(), begins=True))
            else:
                with self._file.open("ab") as file:
                    file.write(encode(records[self._written :], now=time.time()))
            self._written = len(records)
        except Exception as error:  # a full disk; and tensorboard is not ours
            self._on = False
            self._warn(f"No more events are written for TensorBoard: {reason(error)}")

    def _begin(self) -> Path:
        folder = self._directory / "tensorboard"
        folder.mkdir(exist_ok=True)
        # TensorBoard reads the files in order of name. A running TensorBoard would wait forever at a removed
        # file, but it continues after an emptied one. The next start removes that.
        for old in folder.glob(f"events.out.tfevents.*{_OURS}"):
            if old.stat().st_size:
                old.write_bytes(b"")
            else:
                old.unlink()
        return folder / f"events.out.tfevents.{time.time():010.0f}{_OURS}"


def encode(records: list[Record], *, now: float, begins: bool = False) -> bytes:
    """The bytes of an event file, or of a further part, for records of which the last was made at `now`.

    The times leave out pauses before a training was resumed.
    """
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.text.summary_v2 import text_pb
    from tensorboard.summary.writer.record_writer import RecordWriter

    elapsed_s = max((record.elapsed_s or 0.0 for record in records), default=0.0)
    at, began = now, now - elapsed_s
    events = []
    if begins:
        events.append(Event(wall_time=began, file_version="brain.Event:2"))
        # A running TensorBoard then forgets the steps of the earlier file.
        events.append(Event(wall_time=began, session_log=SessionLog(status=SessionLog.START)))
    for record in records:
        if record.elapsed_s is not None:
            at = began + record.elapsed_s
        values = [
            Summary.Value(tag=tag, simple_value=value)
            for name, tag in _TAGS.items()
            if (value := getattr(record, name)) is not None
        ]
        events.append(Event(wall_time=at, step=record.step, summary=Summary(value=values)))
        if record.sample is not None:
            # Indented text is code in Markdown: lines and stars stay as they are.
            text = "\n".join(f"    {line}" for line in record.sample.split("\n"))
            events.append(Event(wall_time=at, step=record.step, summary=text_pb("sample", text)))
    file = io.BytesIO()
    writer = RecordWriter(file)
    for event in events:
        writer.write(event.SerializeToString())
    return file.getvalue()
