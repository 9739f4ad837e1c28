"""`charrepl lsp` as editors have it; the daemon is scripted."""

from __future__ import annotations

import asyncio
import json
import random
import re
import subprocess
from pathlib import Path

import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException

from charrepl.suggestions.keys_saved import Counts, KeysSaved
from charrepl.suggestions.off_switch import OffSwitch
from charrepl.wire import protocol
from tests.charrepl.editor import COMMAND, URI, Editor, run, wire
from tests.charrepl.lsp.test_documents import CHARS, ENCODINGS, places, position
from tests.charrepl.prompt import Bench
from tests.charrepl.scripted_daemon import answer, continuing, hung

TEXT = "ROMEO:\nIs the day"
END = (1, 10)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))


def at(bench: Bench) -> tuple[str, str]:
    return "--endpoint", bench.daemon.endpoint


async def heard(bench: Bench, count: int) -> None:
    while len(bench.daemon.requests) < count:
        await asyncio.sleep(0.002)


def test_an_item_has_its_line_from_the_beginning_and_is_counted(live: Bench) -> None:
    async def use(editor: Editor) -> None:
        assert editor.capabilities.inline_completion_provider == types.InlineCompletionOptions()
        editor.open(TEXT)
        item = await editor.ghost(END)
        assert item.insert_text == "Is the day so young?"
        assert item.range == types.Range(types.Position(1, 0), types.Position(1, 10))
        editor.edit(END, END, " so")  # typed through: nothing is asked
        editor.edit((1, 0), (1, 13), item.insert_text)
        await editor.run(item)

    run(use, *at(live))
    assert len(live.daemon.requests) == 1
    (day,) = KeysSaved().read().values()
    assert day == {"neovim": Counts(shown=1, taken=1, characters=7, keys=1)}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_the_daemon_reads_is_what_the_editor_has(live: Bench, encoding: str) -> None:
    chance = random.Random(encoding)
    expected = []

    async def use(editor: Editor) -> None:
        assert editor.capabilities.position_encoding == encoding
        text = ""
        editor.open(text)
        for _ in range(40):
            start, end = sorted(chance.choices(places(text), k=2))
            new = "".join(chance.choices(CHARS + "x" * 20, k=chance.randrange(8)))
            editor.edit(position(text, start, encoding), position(text, end, encoding), new)
            text = text[:start] + new + text[end:]
            where = position(text, chance.choice(places(text)), encoding)
            at = next(
                n for n in range(len(text) + 1) if n in places(text) and position(text, n, encoding) == where
            )
            if not re.search(r"\w", re.split(r"[\r\n]", text[at:])[0]):
                expected.append(re.sub("\r\n?", "\n", text[:at]))
            items = await editor.items(where)
            assert [item.range.end for item in items] in ([], [types.Position(*where)])

    run(use, *at(live), encoding=encoding)
    assert [asked.text for asked in live.daemon.requests] == expected


def test_whoever_asks_for_ghosts_gets_several(live: Bench) -> None:
    def ways(asked: protocol.Complete):
        for rank in range(asked.alternatives):
            yield answer(asked, f" {rank}", final=rank == asked.alternatives - 1, rank=rank, nats=-5.0)

    live.daemon.script = ways

    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        found = await editor.items(END, invoked=True)
        assert [item.insert_text for item in found] == [f"Is the day {rank}" for rank in range(3)]
        assert await editor.items(END) == []  # what is so unlikely is shown to nobody who did not ask

    run(use, *at(live))


def test_a_ghost_goes_on_from_what_is_selected_in_a_list(live: Bench) -> None:
    async def use(editor: Editor) -> None:
        editor.open("ROMEO:\nIs the DA")
        word = types.Range(types.Position(1, 7), types.Position(1, 9))
        (item,) = await editor.items((1, 9), selected=types.SelectedCompletionInfo(word, "day"))
        assert (item.insert_text, item.range) == ("day so young?", word)

    run(use, *at(live))
    assert live.daemon.requests[0].text == TEXT


def test_a_newer_request_supersedes_and_a_cancelled_one_ends_its_decoding(live: Bench) -> None:
    live.daemon.script = hung

    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        older = asyncio.create_task(editor.items(END))
        await heard(live, 1)
        editor.edit(END, END, " ")
        newer = asyncio.create_task(editor.items((1, 11), number="newer"))
        assert await older == []
        await heard(live, 2)
        editor.client.cancel_request(types.CancelParams("newer"))
        with pytest.raises(JsonRpcException) as cancelled:
            await newer
        assert cancelled.value.code == types.LSPErrorCodes.RequestCancelled
        while not live.daemon.cancelled:
            await asyncio.sleep(0.002)

    run(use, *at(live))


def test_a_request_is_about_the_text_as_it_was_sent(live: Bench) -> None:
    live.daemon.script = hung
    with wire(*at(live)) as editor:
        item = {"uri": URI, "languageId": "text", "version": 1, "text": "one"}
        end = {"line": 0, "character": 3}
        opened = {"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": item}}
        asked = {
            "jsonrpc": "2.0",
            "id": 2,
            "method": "textDocument/inlineCompletion",
            "params": {"textDocument": {"uri": URI}, "position": end, "context": {"triggerKind": 2}},
        }
        changed = {
            "jsonrpc": "2.0",
            "method": "textDocument/didChange",
            "params": {
                "textDocument": {"uri": URI, "version": 2},
                "contentChanges": [{"range": {"start": end, "end": end}, "text": " two"}],
            },
        }
        end_later = {**asked, "id": 3, "params": {**asked["params"], "position": {"line": 0, "character": 7}}}
        messages = [json.dumps(message).encode() for message in (opened, asked, changed, end_later)]
        assert editor.process.stdin is not None
        editor.process.stdin.write(b"".join(b"Content-Length: %d\r\n\r\n%s" % (len(m), m) for m in messages))
        editor.process.stdin.flush()
        assert editor.answer() == {"id": 2, "jsonrpc": "2.0", "result": {"items": []}}
        assert editor.answer()["id"] == 3
    assert live.daemon.requests[-1].text == "one two"
    assert [asked.text for asked in live.daemon.requests][:-1] in ([], ["one"])


def test_settings_say_where_there_are_ghosts_and_which(live: Bench) -> None:
    async def use(editor: Editor) -> None:
        editor.open(TEXT, language="markdown")
        assert await editor.items(END) == []
        editor.open(TEXT, language="plaintext")
        assert (await editor.ghost(END)).insert_text == "Is the day so young?"
        assert live.daemon.requests[-1].model == "tiny"
        editor.client.set_configuration({"charrepl": {"languages": {"prose": False}}})
        editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
        while await editor.items(END):
            pass
        editor.client.set_configuration({"charrepl": {"lines": "two"}})
        editor.client.workspace_did_change_configuration(types.DidChangeConfigurationParams(settings=None))
        while not editor.messages:
            await editor.items(END)
        assert editor.messages == [
            "the editor's settings of charrepl: Expected `int | null`, got `str` - at `$.lines`"
        ]

    options = {"model": "tiny", "languages": {"markdown": False}}
    run(use, *at(live), options=options, configuration={})


def test_settings_that_are_pushed_count_as_well(live: Bench) -> None:
    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        editor.client.workspace_did_change_configuration(
            types.DidChangeConfigurationParams(settings={"charrepl": {"enabled": False}})
        )
        assert await editor.items(END) == []

    run(use, *at(live))
    assert live.daemon.requests == []


def test_ghosts_that_are_off_are_said_to_be_so_once(live: Bench) -> None:
    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        for _ in range(2):
            assert await editor.items(END) == []
        assert editor.messages == ["ghosts are off in vscode: charrepl on --host vscode brings them back"]
        OffSwitch().turn_on()
        assert await editor.items(END)

    OffSwitch().turn_off("vscode")
    run(use, *at(live), name="Visual Studio Code")


def test_no_daemon_is_told_of_once(bench: Bench) -> None:
    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        editor.open(TEXT, uri=f"{URI}2")
        assert await asyncio.gather(editor.items(END), editor.items(END, uri=f"{URI}2")) == [[], []]
        assert len(editor.messages) == 1
        assert editor.messages[0].startswith("no ghosts for now: no daemon ")
        with bench.daemon:
            assert await editor.ghost(END)
        assert len(editor.messages) == 1

    run(use, *at(bench))


def test_a_daemon_that_hangs_costs_its_ghosts_and_no_message(live: Bench) -> None:
    live.daemon.script = hung

    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        assert await editor.items(END) == []
        live.daemon.script = continuing()
        assert await editor.items(END)
        assert editor.messages == []

    run(use, *at(live))


def test_what_the_daemon_refuses_is_told_once(live: Bench) -> None:
    def refusing(asked: protocol.Complete):
        yield protocol.Error(seq=asked.seq, code="no_model", message="there is no model named 'x'")

    live.daemon.script = refusing

    async def use(editor: Editor) -> None:
        editor.open(TEXT)
        for _ in range(2):
            assert await editor.items(END) == []
        assert editor.messages == ["charrepl: there is no model named 'x'"]

    run(use, *at(live), "--model", "x")


def test_a_place_that_is_not_there_is_refused_in_one_line(live: Bench) -> None:
    async def use(editor: Editor) -> None:
        with pytest.raises(JsonRpcException, match="is not open: send textDocument/didOpen first"):
            await editor.items(END)
        editor.open(TEXT)
        with pytest.raises(JsonRpcException, match="line 2 is beyond the document, which has 2"):
            await editor.items((2, 0))
        assert (await editor.ghost((1, 2**31 - 1))).range.end == types.Position(*END)
        editor.edit((7, 0), (9, 9), " so")
        assert (await editor.ghost((1, 13))).insert_text == "Is the day so young?"
        assert editor.messages == []

    run(use, *at(live))


def test_messages_that_are_wrong_are_answered_and_the_server_lives_on(live: Bench) -> None:
    place = {"textDocument": {"uri": URI}, "position": {"line": 0, "character": 0}}
    with wire("--stdio", *at(live), initialized=False) as editor:  # as many clients say

        def code(answered: dict) -> int:
            assert "\n" not in answered["error"]["message"]
            return answered["error"]["code"]

        assert code(editor.ask("textDocument/inlineCompletion", {})) == -32602
        assert (
            code(editor.ask("textDocument/inlineCompletion", {**place, "context": {"triggerKind": 2}}))
            == -32002
        )
        editor.tell("textDocument/didChange", {})
        for body in (b"{", b"[]", b"3", b"\xff", b'{"jsonrpc": "1.0"}', b"[" * 100_000):
            editor.send(body)
            assert code(editor.answer()) == -32700
        assert code(editor.ask("initialize", {"processId": "no"})) == -32602
        assert "result" in editor.ask("initialize", {"processId": None, "capabilities": {}})
        assert code(editor.ask("initialize", {"processId": None, "capabilities": {}})) == -32600
        assert code(editor.ask("nothing/known", {})) == -32601
        command = {"command": "charrepl.taken", "arguments": ["x"]}
        assert code(editor.ask("workspace/executeCommand", command)) == -32602
        negative = {**place, "position": {"line": -1, "character": 0}, "context": {"triggerKind": 2}}
        assert code(editor.ask("textDocument/inlineCompletion", negative)) == -32602
        item = b'{"uri": "file:///a", "languageId": "c", "version": 1, "text": "\\ud83d Is the day"}'
        editor.send(
            b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": %s}}' % item
        )
        asked = {
            "textDocument": {"uri": "file:///a"},
            "position": {"line": 0, "character": 12},
            "context": {"triggerKind": 2},
        }
        assert "result" in editor.ask("textDocument/inlineCompletion", asked)
        assert live.daemon.requests[-1].text == "\ufffd Is the day"
        half = {"range": {"start": asked["position"], "end": asked["position"]}, "text": "day\ud800"}
        context = {"triggerKind": 2, "selectedCompletionInfo": half}
        refused = editor.ask("textDocument/inlineCompletion", {**asked, "context": context})
        assert code(refused) == -32602 and "lone surrogate" in refused["error"]["message"]
        assert editor.ask("shutdown", None)["result"] is None
        assert code(editor.ask("textDocument/inlineCompletion", asked)) == -32600
        editor.tell("exit", None)
        assert editor.process.wait(60) == 0
        assert editor.process.stderr is not None
        assert editor.process.stderr.read() == b""


def test_a_document_of_50_mb_is_read_by_its_window(live: Bench) -> None:
    with wire(*at(live)) as editor:
        item = {"uri": URI, "languageId": "text", "version": 1, "text": "so long a line of it\n" * 2_500_000}
        editor.tell("textDocument/didOpen", {"textDocument": item})
        asked = {
            "textDocument": {"uri": URI},
            "position": {"line": 2_000_000, "character": 20},
            "context": {"triggerKind": 2},
        }
        # Asked until the connection is there.
        while "result" not in editor.ask("textDocument/inlineCompletion", asked) or not live.daemon.requests:
            pass
    assert 1024 <= len(live.daemon.requests[-1].text) < 2048


def test_what_is_no_protocol_at_all_is_one_line(bench: Bench) -> None:
    command = [*COMMAND, *at(bench)]
    ended = subprocess.run(command, input=b"x" * (1 << 20), capture_output=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.decode() == (
        "Error: what came from the editor is not the language server protocol: check its settings\n"
    )


def test_without_an_editor_it_says_how_to_have_one() -> None:
    ended = subprocess.run(
        COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: an editor starts charrepl lsp")
    assert ended.stderr.count("\n") == 1


def test_without_pygls_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['pygls'] = None; from charrepl.cli.main import main; main(['lsp'])"
    ended = subprocess.run(
        [COMMAND[0], "-c", code],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    install = f"{COMMAND[0]} -m pip install 'charrepl[lsp]'"
    assert ended.stderr == f"Error: pygls is not installed: charrepl lsp needs {install}\n"
