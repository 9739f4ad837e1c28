"""Which directory a model's name means, and which models there are. Separate threads read the disk.

The event loop never waits for a disk, which may be on a network. Nobody waits for long.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from charrepl.errors import CharreplError
from charrepl.settings import model_names
from charrepl.system import paths
from charrepl.wire import protocol
from charrepl_daemon.engine.default_model import DefaultModel
from charrepl_daemon.engine.hung_reads import HungReads
from charrepl_daemon.engine.model_library import ModelLibrary

log = logging.getLogger(__name__)

T = TypeVar("T")

_KEPT_S = 1.0
_MOST = 256  # names
_AT_ONCE = 4  # reads at a time, so that a hanging one leaves room for others
_MOST_LISTED_S = 4.0  # a list of models waits no longer than this for one of them


class ModelCatalogue:
    """The models on the disk. Answers are at most a second old."""

    def __init__(self, model: str, library: ModelLibrary) -> None:
        """`model` is the default; if empty, the model trained last. Raises CharreplError if there is none."""
        self.default = DefaultModel(model)
        self._library = library
        self._found: OrderedDict[str, tuple[float, Path]] = OrderedDict()
        self._reads = HungReads()
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def known(self, model: str) -> Path | None:
        """The directory of the model that a request names, if that was read a moment ago."""
        if not model:
            return self.default.known
        read_at, directory = self._found.get(model, (0.0, None))
        return directory if time.monotonic() < read_at + _KEPT_S else None

    async def reading(self, path: Path, read: Callable[[Path], T]) -> T:
        """The result of a function that reads a path. Raises CharreplError if the disk does not answer."""
        async with self._turns:
            return await self._reads.awaited(path, read)

    async def find(self, model: str) -> Path:
        """The directory of the model that a request names. Raises CharreplError if there is none.

        Without a name, the model that the daemon was started with, or else the model trained last.
        """
        directory = self.known(model)
        if directory is not None:
            return directory
        where = Path(model) if model_names.is_path(model) else paths.models_dir() / model
        directory = await self.reading(where, lambda _: self._read(model))
        if model:
            self._found[model] = time.monotonic(), directory
            self._found.move_to_end(model)
            if len(self._found) > _MOST:
                self._found.popitem(last=False)
        return directory

    def _read(self, model: str) -> Path:
        if not model:
            return self.default()
        if model_names.is_path(model) and not Path(model).is_absolute():
            raise CharreplError(
                f"{model!r} is a relative path: give the model's directory from / on", code="bad_name"
            )
        try:
            return model_names.find(model)
        except CharreplError:
            chosen = self.default.chosen
            if chosen is not None and model == chosen.name:
                return chosen  # the one that `models` calls the default
            # A loaded model goes on, even if its files were removed.
            where = Path(model) if model_names.is_path(model) else paths.models_dir() / model
            if self._library.is_loaded(where):
                return where
            raise

    async def listed(self) -> list[protocol.ModelInfo]:
        """Every model that has a name, except those whose disk does not answer."""
        return await self.reading(paths.models_dir(), lambda _: self._list())

    def _list(self) -> list[protocol.ModelInfo]:
        found = []
        for directory in model_names.installed(usable=self._is_there):
            try:
                found.append(self._reads.read(directory, self._info, most_s=_MOST_LISTED_S))
            except CharreplError as error:
                log.warning("%s", error)
        return found

    def _is_there(self, directory: Path) -> bool:
        try:
            return self._reads.read(directory, model_names.is_usable, most_s=_MOST_LISTED_S)
        except CharreplError as error:
            log.warning("%s", error)
            return False

    def _info(self, directory: Path) -> protocol.ModelInfo:
        return model_names.info(directory, loaded=self._library.is_loaded(directory))
