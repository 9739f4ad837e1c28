"""What is counted: percentiles close to the exact ones, and a page that Prometheus can read."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
import threading
import urllib.request
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.client import Client
from charrepl.errors import CharreplError
from charrepl_daemon.metrics import counters, http_endpoint, prometheus_text, status_report
from charrepl_daemon.metrics.counters import BOUNDS, Histogram, Metrics, Writers
from charrepl_daemon.metrics.declarations import COUNTED, OF_A_MODEL, OF_THE_DAEMON, STAGES, STOPS
from charrepl_daemon.process.failures import stamp
from tests.charrepl_daemon.prometheus import Family, parse

within_the_bounds = st.floats(BOUNDS[0], BOUNDS[-1])


@given(st.lists(within_the_bounds, min_size=1, max_size=300), st.sampled_from([1, 50, 90, 99, 100]))
def test_a_percentile_is_off_by_the_width_of_a_bucket_at_most(latencies, percent):
    histogram = Histogram()
    for latency in latencies:
        histogram.observe(latency)
    found = counters.percentile(histogram.snapshot().recent, percent)
    exact = sorted(latencies)[max(1, math.ceil(len(latencies) * percent / 100)) - 1]
    assert found is not None
    assert exact / 1.19 <= found <= exact * 1.19


@given(st.lists(st.floats(0, 1e6), max_size=50))
def test_every_latency_is_in_one_bucket(latencies):
    histogram = Histogram()
    for latency in latencies:
        histogram.observe(latency)
    counts, total_s, recent = histogram.snapshot()
    assert sum(counts) == sum(recent) == len(latencies)
    assert total_s == pytest.approx(sum(latencies))
    for bound, below in zip(BOUNDS, (sum(counts[: i + 1]) for i in range(len(BOUNDS))), strict=True):
        assert below == sum(latency <= bound for latency in latencies)


def test_nothing_counted_has_no_percentiles():
    assert Histogram().summary() == {"count": 0}
    assert counters.percentile([0] * (len(BOUNDS) + 1), 50) is None


def test_percentiles_tell_of_the_last_thousand_and_the_count_of_all():
    histogram = Histogram()
    for _ in range(1024):
        histogram.observe(10.0)
    assert histogram.summary()["p50"] == pytest.approx(10_000, rel=0.19)
    for _ in range(2 * 1024):
        histogram.observe(0.01)
    summary = histogram.summary()
    assert summary["count"] == 3 * 1024
    assert summary["p99"] == pytest.approx(10, rel=0.19)


def test_threads_lose_no_count():
    histogram = Histogram()

    def work() -> None:
        for _ in range(5000):
            histogram.observe(0.001)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert histogram.summary()["count"] == 20_000


def test_a_writer_counts_for_a_while_after_its_last_key():
    writers = Writers(10)
    writers.typed(b"a", "s", 100)
    writers.typed(b"b", "s", 105)
    writers.typed(b"b", "t", 105)
    assert writers.besides(b"a", 105) == [(b"b", "s"), (b"b", "t")]
    assert len(writers.besides(b"", 109.9)) == 3
    writers.typed(b"a", "s", 109)
    assert writers.besides(b"", 115) == [(b"a", "s")]
    assert writers.besides(b"", 119) == []


def test_a_model_that_loads_again_is_no_longer_told_of():
    counted = Metrics()
    counted.model_failed("/a", "damaged")
    counted.model_failed("/b", "missing")
    counted.model_loaded("/a")
    assert [failure[:2] for failure in counted.not_loaded()] == [("/b", "missing")]
    for i in range(100):
        counted.model_failed(f"/{i}", "missing")
    assert len(counted.not_loaded()) == 16
    assert counted.report()["faults"]["load_failures"] == 102


def test_what_is_counted_is_in_the_status_the_report_and_at_prometheus():
    counted = Metrics()
    for by, metric in enumerate(COUNTED, 1):
        counted.count(metric, by, why="the wire is loose")
    told = {**status(kettle=1), **counted.report()}
    page = read(told)
    lines = list(status_report.faults(told))
    for by, metric in enumerate(COUNTED, 1):
        assert metric.value(told) == by
        assert page[metric.prometheus].value(**metric.labels) == by
        if metric.line:
            (line,) = (line for line in lines if f"{by} " in line.split(", ")[0])
            assert ("the wire is loose" in line) == bool(metric.last)


def test_what_never_happened_is_counted_and_not_told_of():
    told = status()
    assert {metric.value(told, None) for metric in COUNTED} == {0}
    assert list(status_report.faults(told)) == []


def test_the_last_time_is_told_without_a_reason_too():
    counted = Metrics()
    counted.count(STOPS)
    (line,) = status_report.faults({**status(), **counted.report()})
    assert line.startswith("stopped by a signal 1 times, and continued at 2")


# As Prometheus reads it


def status(**models: int) -> dict:
    counted = Metrics()
    stats = {metric.key: 2 for metric in OF_A_MODEL}
    return {
        "version": "1",
        "device": 'a "device"\\ of\nthree kinds',
        "started_at": stamp(1000.0),
        "ready": True,
        "active": 2,
        "active_s": 10.0,
        "waiting": 1,
        "compiles_while_serving": 0,
        **counted.report(),
        "models": [
            {"name": path.rsplit("_")[-1], "path": path, **stats, "sessions": n} for path, n in models.items()
        ],
    }


def read(told: dict, **stages: Histogram) -> dict[str, Family]:
    snapshots = {name: histogram.snapshot() for name, histogram in stages.items()}
    return parse(prometheus_text.page(told, snapshots)[1].decode())


def test_the_page_is_in_prometheus_own_format():
    histogram = Histogram()
    for latency in (0.0, 0.001, 0.0010001, 5.0, 1e9):
        histogram.observe(latency)
    page = read(status(kettle=3, pot=4), queue=histogram)
    assert page["charrepl_info"].value(device='a "device"\\ of\nthree kinds') == 1
    assert page["charrepl_start_time_seconds"].value() == 1000
    assert page["charrepl_model_sessions"].value(model="pot") == 4
    queue = page["charrepl_ghost_queue_seconds"]
    assert queue.type == "histogram"
    assert queue.samples["charrepl_ghost_queue_seconds_sum", ()] == pytest.approx(1e9 + 5.0020001)
    assert queue.value(le="+Inf") == 5
    assert queue.value(le="8.0") == 4
    assert queue.value(le="0.001953125") == 3


def test_two_models_of_one_name_are_told_apart():
    page = read(status(a_kettle=1, b_kettle=2))
    assert page["charrepl_model_sessions"].value(model="a_kettle") == 1
    assert page["charrepl_model_sessions"].value(model="b_kettle") == 2


@contextlib.contextmanager
def serving(where: str = "0", body: Callable[[], tuple[str, bytes]] = lambda: ("text/plain", b"page\n")):
    """The responder on an event loop of its own; gives its port."""
    loop = asyncio.new_event_loop()
    stop, served = asyncio.Event(), threading.Event()
    address: list[str] = []

    async def serve() -> None:
        async with http_endpoint.serving(where, body) as url:
            address.append(url)
            served.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert served.wait(30)
    try:
        yield int(address[0].rsplit(":", 1)[1].removesuffix("/metrics"))
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def ask(port: int, request: bytes, *, close: bool = True) -> bytes:
    """What comes back for a raw request."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as link:
        with contextlib.suppress(ConnectionError):
            link.sendall(request)
            if close:
                link.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while piece := link.recv(65_536):
                answer += piece
        return answer


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /metrics?x=/y HTTP/1.1\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /metrics/ HTTP/1.1\r\n\r\n", 404),
        (b"POST / HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 405),
        (b"HEAD /metrics HTTP/1.1\r\n\r\n", 405),
        (b"get /metrics HTTP/1.1\r\n\r\n", 405),
        (b"GET /metrics\r\n\r\n", 400),
        (b"GET  /metrics HTTP/1.1\r\n\r\n", 400),
        (b"GET /metrics HTTP/3\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"\xff" * 100, 400),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 3000 + b"\r\n", 431),
        (b"x" * 100_000, 431),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_only_get_metrics_is_answered(request_, code):
    with serving() as port:
        head, _, content = ask(port, request_).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 %d " % code)
        assert b"Content-Length: %d\r\n" % len(content) in head
        assert (content == b"page\n") == (code == 200)
        assert (b"Allow: GET" in head) == (code == 405)
        assert ask(port, b"GET /metrics HTTP/1.1\r\n\r\n").endswith(b"page\n")


def test_a_connection_that_says_nothing_is_ended(monkeypatch):
    monkeypatch.setattr(http_endpoint, "_MOST_S", 0.1)
    with serving() as port:
        assert ask(port, b"GET /metrics", close=False) == b""
        assert ask(port, b"") == b""


def test_too_many_connections_are_turned_away_and_room_is_made_again():
    with serving() as port:
        with contextlib.ExitStack() as held:
            for _ in range(17):
                link = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            assert link.recv(1) == b""  # the last one, while the others may still ask
        while not ask(port, b"GET /metrics HTTP/1.1\r\n\r\n"):
            pass


def test_a_bug_in_the_figures_is_a_500():
    def fails() -> tuple[str, bytes]:
        raise KeyError("figure")

    with serving(body=fails) as port:
        answer = ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"charrepl-daemon logs" in answer


@pytest.mark.parametrize(
    ("where", "host"),
    [
        ("8000", "127.0.0.1"),
        ("127.0.0.2:8000", "127.0.0.2"),
        ("localhost:8000", "127.0.0.1"),
        ("[::1]:8000", "::1"),
    ],
)
def test_a_port_is_on_loopback(where, host):
    assert http_endpoint.parse(where) == (host, 8000)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "example.org", "*", "::ffff:1.2.3.4"])
def test_elsewhere_than_on_loopback_is_refused(host):
    with pytest.raises(CharreplError, match="loopback only"):
        http_endpoint.parse(f"{host}:8000")


@pytest.mark.parametrize("where", ["", "x", "-1", "65536", "1e3", "127.0.0.1:", "８０００"])
def test_what_is_no_port_is_refused(where):
    with pytest.raises(CharreplError, match="not a port for metrics"):
        http_endpoint.parse(where)


def test_a_port_in_use_is_one_line(home, daemon_command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        started = daemon_command("start", "--metrics-port", str(port))
    assert started.returncode == 1
    why = f"cannot serve metrics on 127.0.0.1 port {port}: Address already in use"
    assert started.stderr == f"Error: {why}; choose another, or 0\n"


def test_a_daemon_is_read_by_prometheus_while_it_writes(home, daemon_command):
    started = daemon_command("start", "--metrics-port", "0")
    assert started.returncode == 0
    with Client(autostart=False) as client:
        for text in ("every cup", "every cup is", "a most private sentence"):
            client.complete(text)
        told = client.status()
        url = told["metrics_url"]
        assert started.stdout.endswith(f"Metrics at {url}.\n")
        assert url in daemon_command("status").stdout
        with urllib.request.urlopen(url, timeout=30) as answer:
            kind, text = answer.headers["Content-Type"], answer.read().decode()
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert "private" not in text
    page = parse(text)
    assert page["charrepl_requests_total"].value(type="complete") == 3
    assert page["charrepl_model_sessions"].value(model="kettle") == 1
    for stage in STAGES:
        assert page[f"charrepl_ghost_{stage}_seconds"].value(le="+Inf") == 3
    assert os.environ["CHARREPL_RUNTIME_DIR"] not in text
    (model,) = told["models"]
    for part, metrics in ((told, OF_THE_DAEMON), (model, OF_A_MODEL)):
        for metric in metrics:
            assert metric.value(part, None) is not None, metric.key
            assert metric.prometheus in page


def test_a_port_that_is_taken_is_told_before_a_daemon_ends_and_its_own_is_not():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CharreplError, match=f"cannot serve metrics on 127.0.0.1 port {port}: "):
            http_endpoint.check(str(port))
        http_endpoint.check(str(port), own=f"http://127.0.0.1:{port}/metrics")
    http_endpoint.check("0")
    http_endpoint.check(str(port))
