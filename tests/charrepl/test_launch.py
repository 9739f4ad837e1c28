"""Starting a daemon: what a program learns when there can be none."""

from __future__ import annotations

import asyncio
import sys

import pytest

from charrepl import launch
from charrepl.errors import DaemonUnavailableError


def test_a_python_that_has_gone_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/gone/python")
    said = r"cannot run /gone/python \(No such file or directory\)"
    with pytest.raises(DaemonUnavailableError, match=said):
        launch.start()
    with pytest.raises(DaemonUnavailableError, match=said):
        asyncio.run(launch.start_async())
