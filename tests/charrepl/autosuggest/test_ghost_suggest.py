"""Ghosts as auto-suggestions: bounded, quiet and never in the way; the daemon is scripted."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document

from charrepl.autosuggest import GhostSuggest
from charrepl.errors import CharreplError
from charrepl.suggestions.keys_saved import Counts, KeysSaved
from charrepl.suggestions.off_switch import OffSwitch
from charrepl.wire import protocol
from tests.charrepl.prompt import Bench
from tests.charrepl.scripted_daemon import hung
from tests.waiting import DEADLINE_S, until

TEXT, GHOST = "ROMEO:\nIs the day", " so young?"
FORKS = """\
import os, sys, time
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from charrepl.autosuggest import GhostSuggest

ghosts = GhostSuggest(endpoint=sys.argv[1])

def asked(text):
    while (found := ghosts.get_suggestion(Buffer(), Document(text))) is None:
        time.sleep(0.01)
    return found.text

asked("ROMEO:\\nIs the day")
child = os.fork()
if not child:
    print(asked("ROMEO:\\nIs the d"), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


@pytest.fixture(autouse=True)
def places(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "CONFIG", "RUNTIME"):
        monkeypatch.setenv(f"CHARREPL_{name}_DIR", bench.env[f"CHARREPL_{name}_DIR"])


def asked(ghosts: GhostSuggest, text: str = TEXT, buffer: Buffer | None = None) -> str:
    """The suggestion for a text, once there is one."""
    buffer = buffer or Buffer()
    found = until(lambda: ghosts.get_suggestion(buffer, Document(text)))
    return found.text  # type: ignore[attr-defined]


def asked_once(ghosts: GhostSuggest, document: Document) -> str | None:
    found = ghosts.get_suggestion(Buffer(), document)
    return found and found.text


def test_both_methods_give_the_ghost(live: Bench) -> None:
    ghosts = GhostSuggest(endpoint=live.daemon.endpoint)

    async def later() -> str:
        found = await ghosts.get_suggestion_async(Buffer(), Document(TEXT[:-1]))
        return found.text if found else ""

    assert until(lambda: asyncio.run(later())) == "y" + GHOST
    assert asked(ghosts, TEXT[:-2]) == "ay" + GHOST
    assert ghosts.condition == "scripted"


def test_what_is_typed_of_a_ghost_is_not_asked_about(live: Bench) -> None:
    ghosts = GhostSuggest(endpoint=live.daemon.endpoint)
    asked(ghosts)
    count = len(live.daemon.requests)
    for end in range(1, len(GHOST)):
        assert asked_once(ghosts, Document(TEXT + GHOST[:end])) == GHOST[end:]
    assert len(live.daemon.requests) == count
    asked(ghosts, TEXT[:-1])
    assert len(live.daemon.requests) > count


def test_earlier_entries_go_along_and_only_grow(live: Bench) -> None:
    entries = [f"entry {n}" for n in range(70)]
    ghosts = GhostSuggest(endpoint=live.daemon.endpoint, earlier=lambda: [*entries, "ROMEO:"])
    live.daemon.script = hung
    ghosts.get_suggestion(Buffer(), Document("Is the day"))
    until(lambda: live.daemon.requests)
    text = live.daemon.requests[0].text
    assert text.startswith("entry 32\n") and text.endswith("\nROMEO:\nIs the day")


def test_the_history_of_the_application_goes_along(live: Bench) -> None:
    buffer = Buffer()
    buffer.history.append_string("ROMEO:")
    assert asked(GhostSuggest(endpoint=live.daemon.endpoint), "Is the day", buffer) == GHOST


@pytest.mark.parametrize("document", [Document(""), Document("  \n"), Document(" ROMEO:"), Document(TEXT, 3)])
def test_nothing_is_asked_where_no_ghost_belongs(live: Bench, document: Document) -> None:
    ghosts = GhostSuggest(endpoint=live.daemon.endpoint)
    asked(ghosts)
    count = len(live.daemon.requests)
    assert asked_once(ghosts, document) is None
    assert len(live.daemon.requests) == count


def test_after_a_late_ghost_no_key_waits_until_there_is_an_answer(live: Bench) -> None:
    ghosts = GhostSuggest(endpoint=live.daemon.endpoint)
    asked(ghosts)
    script, live.daemon.script = live.daemon.script, hung
    count = len(live.daemon.requests)
    for text in ("one", "two", "three"):
        assert asked_once(ghosts, Document(text)) is None
    assert len(live.daemon.requests) == count + 1  # for the first of them
    live.daemon.script = script
    assert asked(ghosts) == GHOST


def test_without_a_daemon_there_is_no_ghost_until_one_is_there(bench: Bench) -> None:
    ghosts = GhostSuggest(endpoint=bench.daemon.endpoint)
    assert asked_once(ghosts, Document(TEXT)) is None
    with bench.daemon:
        assert asked(ghosts) == GHOST
    assert asked_once(ghosts, Document(TEXT[:-1])) is None


def test_off_is_off(live: Bench) -> None:
    ghosts = GhostSuggest(endpoint=live.daemon.endpoint)
    asked(ghosts)
    OffSwitch().turn_off("python")
    count = len(live.daemon.requests)
    assert asked_once(ghosts, Document("Is the")) is None
    assert len(live.daemon.requests) == count
    assert ghosts.condition == "ghosts are off in python: charrepl on --host python brings them back"


def test_the_methods_never_raise(live: Bench) -> None:
    def broken() -> list[str]:
        raise RuntimeError

    def refusing(request: protocol.Complete):
        yield protocol.Error(seq=request.seq, code="failed", message="it cannot be done: try another text")

    ghosts = GhostSuggest(endpoint=live.daemon.endpoint, earlier=broken)
    assert asked_once(ghosts, Document(TEXT)) is None
    assert asyncio.run(ghosts.get_suggestion_async(Buffer(), Document(TEXT))) is None
    live.daemon.script = refusing
    ghosts = GhostSuggest(endpoint=live.daemon.endpoint)
    until(lambda: asked_once(ghosts, Document(TEXT)) or "another text" in ghosts.condition)


def test_what_is_wrong_is_said_at_once() -> None:
    with pytest.raises(CharreplError, match="assertiveness='loud': give one of quiet, normal, bold"):
        GhostSuggest(assertiveness="loud")
    with pytest.raises(CharreplError, match="no model named 'nobody'"):
        GhostSuggest(model="nobody")


def test_a_forked_child_has_a_connection_of_its_own(live: Bench) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FORKS, live.daemon.endpoint],
        env=live.env,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert said.stdout == f"ay{GHOST}\n" and not said.stderr


def test_what_was_taken_is_counted(live: Bench) -> None:
    ghosts = GhostSuggest(endpoint=live.daemon.endpoint)
    asked(ghosts)
    asked_once(ghosts, Document(TEXT + GHOST[:1]))  # typed
    asked_once(ghosts, Document(TEXT + GHOST))
    ghosts.close()
    assert next(iter(KeysSaved().read().values())) == {
        "python": Counts(shown=1, taken=1, characters=len(GHOST) - 1, keys=1)
    }
