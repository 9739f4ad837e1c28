"""Ghosts in VS Code's editor core: `make test-monaco`."""

from __future__ import annotations

import json

import pytest

from charrepl.suggestions.keys_saved import KeysSaved
from tests.charrepl_daemon.lsp.monaco_site import CHROMIUM, GHOST, MONACO, monaco

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
    pytest.mark.skipif(not MONACO.is_dir(), reason="Monaco is not here: make test-monaco brings it"),
]


def test_a_ghost_is_drawn_typed_through_and_taken(shared_daemon) -> None:
    with monaco("--assertiveness", "bold") as (browser, site):
        browser.type("COOK:\rThe kettle si")
        browser.wait_for(f"{GHOST}.startsWith('ngs')")
        browser.type("ng")
        browser.wait_for(f"{GHOST}.startsWith('s,')")
        whole = "The kettle sing" + browser.value(GHOST)
        browser.type("\t")
        browser.wait_for(f"editor.getModel().getLineContent(2) == {json.dumps(whole)}")
        browser.wait_for("sent.then(() => true)")  # the command, too
        site.relay("shutdown", None)
        site.language_server.tell("exit", None)
        site.language_server.process.wait()
    (counts,) = [hosts["lsp"] for hosts in KeysSaved().read().values()]
    assert (counts.taken, counts.keys) == (1, 1)
