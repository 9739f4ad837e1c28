"""A daemon that cannot start where memory, threads or files are short: the cause is named, not the model."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from charrepl.system import paths
from charrepl_daemon.lifecycle import control


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("ulimit -n 20", "too many files are open (ulimit -n is 20): raise the limit"),
        ("ulimit -v 400000", "memory ran short (ulimit -v is 400000, "),
    ],
)
def test_the_limit_is_named(shared_home, limit, says):
    control.stop()
    if "-v" in limit and sys.platform != "linux":
        pytest.skip("no limit of the address space here")
    command = [sys.executable, "-m", "charrepl_daemon", "start"]
    started = subprocess.run(
        ["sh", "-c", f'{limit}; exec "$@"', "sh", *command], capture_output=True, text=True, check=False
    )
    assert started.returncode == 1
    assert says in started.stderr
    assert started.stderr.count("\n") == 1
    assert "damaged" not in started.stderr + paths.log_file().read_text()


def test_one_that_the_system_kills_as_it_starts_is_said_to_be(shared_home):
    said = control._how_it_ended(-9, control._log_size())
    assert said.startswith("the system killed it before it was ready, as it does where memory ran short")
    assert control._how_it_ended(-6, control._log_size()).startswith(
        "it crashed before it was ready (SIGABRT)"
    )
    assert control._how_it_ended(3, control._log_size()).startswith(
        "it ended with status 3 before it was ready: "
    )


def test_whatever_python_says_where_the_address_space_is_limited_memory_is_named(shared_home, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda number: (400_000 << 10, resource.RLIM_INFINITY))
    paths.log_file().write_text("SystemError: <function start> returned NULL without setting an exception\n")
    for code in (1, -11):
        assert "as it does where memory ran short (ulimit -v is 400000" in control._how_it_ended(code, 0)
