"""`charrepl lsp` with a real daemon and a small model."""

from __future__ import annotations

import os
import signal

import pytest
from lsprotocol import types

from charrepl_daemon.lifecycle import control
from tests.charrepl.editor import Editor, run

TEXT = "\U0001f600 COOK:\nThe kettle si"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_the_ghost_of_a_line(shared_daemon, encoding: str) -> None:
    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        item = await editor.ghost((1, 13))
        assert item.insert_text.startswith("The kettle sings, ")
        assert item.range == types.Range(types.Position(1, 0), types.Position(1, 13))
        smile = {"utf-8": 4, "utf-16": 2, "utf-32": 1}[encoding]
        editor.edit((0, 0), (1, 4), "\U0001f600 every ")
        item = await editor.ghost((0, smile + 7 + 9))
        assert item.insert_text.startswith("\U0001f600 every kettle si")
        editor.edit((0, smile + 7), (0, smile + 7 + 9), "cup is wa")
        assert (await editor.ghost((0, smile + 7 + 9))).insert_text.startswith("\U0001f600 every cup is warm")

    run(use, "--assertiveness", "bold", encoding=encoding)


def test_whoever_asks_gets_several_and_no_two_alike(shared_daemon) -> None:
    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        await editor.ghost((1, 13))
        found = [item.insert_text for item in await editor.items((1, 13), invoked=True)]
        assert len(found) == len(set(found)) == 3
        assert all(text.startswith("The kettle si") for text in found)

    run(use, "--assertiveness", "bold")


def test_a_daemon_that_is_killed_comes_back_without_a_word(living) -> None:
    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        await editor.ghost((1, 13))
        first = control.running()
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        editor.edit((1, 13), (1, 13), "n")
        assert (await editor.ghost((1, 14))).insert_text.startswith("The kettle sings, ")
        second = control.running()
        assert second is not None
        assert second.pid != first.pid
        assert editor.messages == []

    run(use, "--assertiveness", "bold")
