"""How much of a message that has not come whole ZeroMQ holds."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A process of its own: other tests have threads of ZeroMQ's that would be found before these.
SCRIPT = """
import os, sys, threading, zmq
from charrepl_daemon.process.memory import Unfinished
from tests.charrepl_daemon import flooder

unfinished = Unfinished()  # before there is any thread of ZeroMQ's
router = zmq.Context().socket(zmq.ROUTER)
router.bind("ipc://" + sys.argv[1])
unfinished.look()
threading.Thread(target=flooder.endless, args=(sys.argv[1],), daemon=True).start()
while unfinished.held_bytes < 30 << 20:
    unfinished.look()
os._exit(0)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone tells what a thread touches")
def test_it_is_seen_though_the_thread_that_holds_it_came_later(tmp_path):
    subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "s")], check=True, timeout=60)
