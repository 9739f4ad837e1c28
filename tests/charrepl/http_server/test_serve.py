"""A real server, asked as the plugins of editors ask; the daemon is scripted."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from charrepl.wire import protocol
from tests.charrepl.http_site import HttpSite, all_of
from tests.charrepl.prompt import CHARREPL, Bench
from tests.charrepl.scripted_daemon import answer, continuing, hung
from tests.waiting import DEADLINE_S, until

TEXT = "ROMEO:\nIs the day"
GHOST = " so young?"
# As llama.vim sends it.
INFILL = {
    "id_slot": 0,
    "input_prefix": "ROMEO:\n",
    "input_suffix": "\n",
    "input_extra": [{"text": "BENVOLIO:", "time": 1, "filename": "romeo.txt"}],
    "prompt": "Is the day",
    "n_predict": 128,
    "stop": [],
    "n_indent": 0,
    "top_k": 40,
    "top_p": 0.9,
    "samplers": ["top_k", "top_p", "infill"],
    "stream": False,
    "cache_prompt": True,
    "t_max_prompt_ms": 500,
    "t_max_predict_ms": 250,
    "response_fields": ["content", "timings/prompt_n"],
    "model": "",
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    place = Path(tempfile.mkdtemp(prefix="cr-"))  # short: a socket's path may have 107 bytes
    bench = Bench(place)
    with bench.daemon:
        yield bench
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def site(bench: Bench) -> Iterator[HttpSite]:
    with HttpSite("--endpoint", bench.daemon.endpoint, env=bench.env) as site:
        until(lambda: site.post("/infill", INFILL).json["content"] == GHOST)  # it connects to the daemon
        yield site


@pytest.fixture(autouse=True)
def usual(bench: Bench) -> Iterator[None]:
    yield
    bench.daemon.script = continuing()


def test_llama_vim_is_answered_in_the_bytes_it_looks_for(site: HttpSite) -> None:
    status, body = site.post("/infill", INFILL, host="vim")
    assert (status, body) == (200, b'{"content":" so young?"}')
    assert re.match(rb"\s*\{", body) and re.search(rb'"content"\s*:"', body)


def test_the_first_line_of_a_document_has_nothing_above_it(bench: Bench, site: HttpSite) -> None:
    site.post("/infill", {**INFILL, "input_prefix": "\n", "prompt": "ROMEO:"})
    assert bench.daemon.requests[-1].text == "ROMEO:"


def test_warming_a_cache_asks_for_nothing(bench: Bench, site: HttpSite) -> None:
    asked = len(bench.daemon.requests)
    assert site.post("/infill", {**INFILL, "n_predict": 0}).body == b'{"content":""}'
    assert len(bench.daemon.requests) == asked


def test_text_behind_the_cursor_leaves_no_room(site: HttpSite) -> None:
    assert site.post("/infill", {**INFILL, "input_suffix": "light\n"}).body == b'{"content":""}'


def test_llama_vscode_is_given_as_many_as_there_are(bench: Bench, site: HttpSite) -> None:
    def ways(asked: protocol.Complete) -> Iterator[protocol.Message]:
        for rank, way in enumerate([" young?", " so young?", " young?\n"]):
            yield answer(asked, way, final=rank == 2, rank=rank)

    bench.daemon.script = ways
    body = site.post("/infill", {**INFILL, "n_cmpl": 3}, host="vscode").body
    assert body == b'[{"content":" young?"},{"content":" so young?"}]'
    assert bench.daemon.requests[-1].alternatives == 3


def test_completion_plain_and_streamed(site: HttpSite) -> None:
    assert site.post("/completion", {"prompt": TEXT}).body == b'{"content":" so young?"}'
    streamed = site.post("/completion", {"prompt": TEXT, "stream": True}).body
    assert streamed == (
        b'data: {"content":" so young?","stop":false}\n\ndata: {"content":"","stop":true}\n\n'
    )


def test_openai_completions_plain_and_streamed(site: HttpSite) -> None:
    said = site.post("/v1/completions", {"model": "charrepl", "prompt": TEXT}).json
    assert said["choices"] == [{"text": GHOST, "index": 0, "logprobs": None, "finish_reason": "stop"}]
    assert said["object"] == "text_completion" and said["id"].startswith("cmpl-")
    *events, done, end = site.post("/v1/completions", {"prompt": TEXT, "stream": True}).body.split(b"\n\n")
    assert (done, end) == (b"data: [DONE]", b"")
    texts = [json.loads(event.removeprefix(b"data: "))["choices"][0]["text"] for event in events]
    assert "".join(texts) == GHOST


def test_zeds_wrapped_prompt_and_its_stops(bench: Bench, site: HttpSite) -> None:
    wrapped = f"<|fim_prefix|>{TEXT}<|fim_suffix|>\n\nBENVOLIO:<|fim_middle|>"
    asked = {"model": "charrepl", "prompt": wrapped, "max_tokens": 48, "stop": ["<|endoftext|>", "young"]}
    assert site.post("/v1/completions", asked).json["choices"][0]["text"] == " so "
    assert bench.daemon.requests[-1].text == TEXT


def test_the_text_behind_may_be_a_suffix_and_prompts_several(site: HttpSite) -> None:
    asked = {"prompt": [TEXT, "ROMEO:\nIs the d"], "suffix": "\nBENVOLIO:"}
    choices = site.post("/v1/completions", asked).json["choices"]
    assert [choice["text"] for choice in choices] == [GHOST, "ay so young?"]


def test_numbers_are_as_their_names_promise(bench: Bench, site: HttpSite) -> None:
    asked = {"prompt": TEXT, "max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 7, "unknown": {}}
    assert len(site.post("/v1/completions", asked).json["choices"][0]["text"]) <= 7
    sent = bench.daemon.requests[-1]
    assert sent.max_chars == 7
    assert (sent.decoding.temperature, sent.decoding.top_p, sent.decoding.seed) == (0.5, 0.9, 7)


def test_models_and_health(site: HttpSite) -> None:
    listed = site.get("/v1/models").json["data"]
    assert [model["id"] for model in listed] == ["shakespeare", "tiny"]
    assert site.ask("GET", "/health", headers={}) == (200, b'{"status":"ok"}')


def test_equal_requests_at_once_are_asked_once_and_all_answered(bench: Bench, site: HttpSite) -> None:
    go = threading.Event()

    def waiting(asked: protocol.Complete) -> Iterator[protocol.Message]:
        while not go.is_set():
            yield answer(asked, "", final=False)
        yield answer(asked, GHOST)

    bench.daemon.script = waiting
    asked, found = len(bench.daemon.requests), []
    prompt = {"prompt": TEXT}
    threads = [
        threading.Thread(target=lambda: found.append(site.post("/v1/completions", prompt).json))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(bench.daemon.requests) > asked)
    go.set()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert [one["choices"][0]["text"] for one in found] == [GHOST] * 3


def test_a_client_that_goes_away_ends_its_decoding(bench: Bench, site: HttpSite) -> None:
    bench.daemon.script = hung
    asked, cancelled = len(bench.daemon.requests), len(bench.daemon.cancelled)
    with site.connect() as connection:
        connection.sendall(site.request("/completion", json.dumps({"prompt": TEXT}).encode()))
        until(lambda: len(bench.daemon.requests) > asked)
    until(lambda: len(bench.daemon.cancelled) > cancelled)


def test_an_answer_that_says_nothing_of_the_text_is_one_that_nobody_keeps(
    bench: Bench, site: HttpSite
) -> None:
    bench.daemon.script = hung
    found = site.post("/infill", {**INFILL, "prompt": "Is the da"})
    assert found == (200, b'{"content": ""}')
    assert not re.search(rb'"content"\s*:"', found.body)


def test_off_is_heard_at_once(bench: Bench, site: HttpSite) -> None:
    subprocess.run([*CHARREPL, "off", "--host", "vim"], env=bench.env, check=True, capture_output=True)
    try:
        assert site.post("/infill", INFILL, host="vim").json == {"content": ""}
        assert site.post("/infill", INFILL, host="vscode").json == {"content": GHOST}
        subprocess.run([*CHARREPL, "off"], env=bench.env, check=True, capture_output=True)
        assert site.get("/health").json["off"].startswith("ghosts are off: charrepl on")
    finally:
        subprocess.run([*CHARREPL, "on"], env=bench.env, check=True, capture_output=True)
    assert site.post("/infill", INFILL, host="vim").json == {"content": GHOST}


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/infill", b"{", 400, "not a request of this kind"),
        ("/infill", b'{"prompt": 3}', 400, "Expected `str`"),
        ("/infill", b'{"prompt":"\\ud83d\\ude00\\ud800 a"}', 400, "a lone surrogate"),
        ("/infill", b'{"prompt":"\\ude00"}', 400, "a lone surrogate"),
        ("/infill", b"[" * 100_000, 400, "not a request of this kind"),
        ("/v1/completions", b"\xff\xfe", 400, "not a request of this kind"),
        ("/v1/completions", b'{"prompt":"\xed\xa0\x80"}', 400, "its text is not UTF-8"),
        ("/v1/completions", b'{"prompt":"x","temperature":-1}', 400, "temperature"),
        ("/v1/completions", b'{"prompt":"x","model":"/etc"}', 404, "cannot be a model's name"),
        ("/v2/completions", b"{}", 404, "is not answered"),
    ],
)
def test_what_is_no_request_is_told_why(
    site: HttpSite, path: str, body: bytes, status: int, said: str
) -> None:
    found = site.post(path, body)
    assert found.status == status
    assert said in found.json["error"]["message"] and found.json["error"]["code"] == status


def test_a_prompt_of_ten_megabytes_is_read_by_its_window(bench: Bench, site: HttpSite) -> None:
    assert site.post("/completion", {"prompt": ("é" + "x" * 98 + "\n") * 100_000}).status == 200
    assert len(bench.daemon.requests[-1].text) < 2048


def test_web_pages_other_hosts_and_strangers_are_refused(site: HttpSite) -> None:
    for headers, status in [
        ({**site.head, "Origin": "http://127.0.0.1"}, 403),
        ({**site.head, "Host": "evil.example"}, 403),
        ({}, 401),
    ]:
        found = site.ask("POST", "/infill", INFILL, headers=headers)
        assert found.status == status and "content" not in found.json


def test_a_body_that_says_it_is_too_long_is_not_read(site: HttpSite) -> None:
    with site.connect() as connection:
        connection.sendall(site.request("/infill", b"", length=1 << 40))
        assert b"413" in all_of(connection).split(b"\r\n")[0]


def test_an_endless_body_ends(site: HttpSite) -> None:
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = site.request("/infill", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    with site.connect() as connection:
        connection.sendall(head)
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(piece)


def test_endless_headers_end(site: HttpSite) -> None:
    with site.connect() as connection:
        connection.sendall(b"POST /infill HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            while True:
                connection.sendall(b"X: " + b"y" * 60_000)


def test_two_hundred_connections_are_answered(site: HttpSite) -> None:
    connections = [site.connect() for _ in range(200)]
    try:
        request = site.request("/infill", json.dumps({**INFILL, "n_predict": 0}).encode())
        for connection in connections:
            connection.sendall(request)
        for connection in connections:
            assert b"200 OK" in connection.recv(4096)
        assert site.post("/infill", INFILL).json == {"content": GHOST}
    finally:
        for connection in connections:
            connection.close()


def test_nothing_that_was_typed_is_said(bench: Bench) -> None:
    with HttpSite("--endpoint", bench.daemon.endpoint, env=bench.env) as site:
        for body in (
            {"prompt": "Is this a secret"},
            b'{"prompt": "secret',
            {"prompt": "x", "model": "secret"},
        ):
            site.post("/completion", body)
        site.post("/secret", b"")
        assert site.end() == ""
    for path in bench.place.rglob("*"):
        assert not path.is_file() or b"secret" not in path.read_bytes()


def test_a_unix_socket_is_its_owners_and_needs_no_key(bench: Bench) -> None:
    path = bench.place / "http.sock"
    with HttpSite("--endpoint", bench.daemon.endpoint, "--unix", str(path), env=bench.env) as site:
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: charrepl\r\nConnection: close\r\n\r\n")
            assert b'"id":"shakespeare"' in all_of(connection)
        second = refused(bench, "--unix", str(path))
        assert "a server listens" in second
        site.process.kill()
    with HttpSite("--endpoint", bench.daemon.endpoint, "--unix", str(path), env=bench.env) as site:
        assert str(path) in site.said  # what the killed one left is no obstacle
    assert not path.exists()


def refused(bench: Bench, *options: str) -> str:
    """What a server says that does not start."""
    command = [*CHARREPL, "serve", *options]
    done = subprocess.run(command, env=bench.env, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == 1 and done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1
    return done.stderr


def test_it_says_how_editors_find_it_at_its_port(site: HttpSite) -> None:
    assert f"charrepl serve --port {site.port} --setup vim" in site.said


def test_what_cannot_be_served_is_said_in_one_line(bench: Bench, site: HttpSite) -> None:
    assert "give another --port" in refused(bench, "--port", str(site.port))
    assert "not a loopback address" in refused(bench, "--address", "0.0.0.0")
    assert "there is no model named" in refused(bench, "--port", "0", "--model", "nobody")
    (bench.place / "file").touch()
    assert "not a socket" in refused(bench, "--unix", str(bench.place / "file"))
