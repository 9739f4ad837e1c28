"""`charrepl serve` before a real daemon, which dies, hangs and is replaced; and OpenAI's own client."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from charrepl_daemon.lifecycle import control
from tests.charrepl.http_site import HttpSite
from tests.charrepl_daemon.conftest import Command
from tests.charrepl_daemon.halting import halt
from tests.waiting import DEADLINE_S, until

BEFORE = "MASTER:\nThe kettle sings, the kit"
GHOST = "chen fills with steam, and every cup is warm."


@pytest.fixture
def site(living: Command, http: HttpSite) -> HttpSite:
    until(lambda: http.post("/completion", {"prompt": BEFORE}).json["content"] != "")
    return http


@pytest.fixture(scope="module")
def http(shared_daemon: Command) -> Iterator[HttpSite]:
    with HttpSite("--model", "kettle") as http:
        yield http


def pid() -> int:
    running = control.running()
    assert running is not None and running.pid
    return running.pid


def comes_back(site: HttpSite, *, more: str = "") -> bool:
    return site.post("/completion", {"prompt": BEFORE + more}).json["content"] != ""


def test_a_ghost_continues_the_text(site: HttpSite) -> None:
    ghost = site.post("/completion", {"prompt": BEFORE}).json["content"]
    assert ghost and GHOST.startswith(ghost[:8])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_openais_client_plain_and_streamed(site: HttpSite) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{site.port}/v1", api_key=site.key, max_retries=0, timeout=DEADLINE_S
    ) as client:
        plain = client.completions.create(model="kettle", prompt=BEFORE, max_tokens=20, temperature=0)
        pieces = client.completions.create(model="kettle", prompt=BEFORE, max_tokens=20, stream=True)
        assert plain.choices[0].text == "".join(piece.choices[0].text for piece in pieces) != ""
        assert len(plain.choices[0].text) <= 20
        assert [model.id for model in client.models.list()] == ["kettle", "shakespeare"]
        with pytest.raises(openai.NotFoundError, match="there is no model named"):
            client.completions.create(model="nobody", prompt=BEFORE)
        with pytest.raises(openai.AuthenticationError, match="--print-key"):
            client.with_options(api_key="wrong").completions.create(model="kettle", prompt=BEFORE)


def test_a_killed_daemon_costs_an_empty_answer_and_the_ghost_comes_back(site: HttpSite) -> None:
    os.kill(pid(), signal.SIGKILL)
    found = site.post("/completion", {"prompt": BEFORE + "c"})
    assert found.status == 200
    until(lambda: comes_back(site))


def test_a_hung_daemon_costs_empty_answers(site: HttpSite) -> None:
    hung = pid()
    halt(hung)
    try:
        for typed in ("c", "ch", "che"):
            assert site.post("/completion", {"prompt": BEFORE + typed}) == (200, b'{"content": ""}')
        assert site.get("/health").status == 503
    finally:
        os.kill(hung, signal.SIGCONT)
    until(lambda: comes_back(site))


def test_a_daemon_that_is_replaced_is_followed(site: HttpSite, living: Command) -> None:
    before = pid()
    done = living("restart", "--force")
    assert done.returncode == 0, done.stderr
    assert pid() != before
    until(lambda: comes_back(site))
    assert living("reload").returncode == 0
    until(lambda: comes_back(site, more="chen"))
