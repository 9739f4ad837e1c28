"""`charrepl eval` as a user runs it, with a real small model that knows its text by heart."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from charrepl.client import Client
from charrepl.evaluation import ghost_requests
from charrepl.ghost import display_policy
from charrepl.wire.protocol import Decoding
from charrepl_daemon.lifecycle import control
from tests.charrepl.screen import Screen
from tests.charrepl_daemon.conftest import LINES

CHARREPL = [sys.executable, "-c", "from charrepl.cli.main import main; main()"]


def evaluate(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*CHARREPL, "eval", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "kettle.txt"
    file.write_text(LINES + "All of it is new to them: zinc, quartz, jazz.\n")
    return file


def test_a_text_known_by_heart_saves_most_keys(shared_daemon, file):
    done = evaluate(file, "--limit", len(LINES), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["model"], result["characters"]) == ("kettle", len(LINES))
    assert result["bits_per_character"] == pytest.approx(result["nats_per_character"] / 0.693147, rel=1e-5)
    for figures in (*result["charrepl"].values(), *result["plain"].values()):
        assert figures["keystroke_savings"] == 1 - figures["keys"] / len(LINES)
        assert figures["keystroke_savings"] > 0.5
        assert figures["first_word_precision"] > 0.4  # its turns return, and go on otherwise
        assert figures["calibration_error"] is not None
    assert "ngram" not in result
    for latency in result["latency_ms"].values():
        assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"]


def test_new_names_are_learnt_while_they_are_typed(shared_daemon, file):
    names = {"MASTER": "TORMEC", "master": "tormec", "COOK": "SKARTE", "cook": "skarte", "kettle": "ladder"}
    renamed = LINES
    for name, other in names.items():
        renamed = renamed.replace(name, other)
    file.write_text(renamed * 3)
    result = json.loads(evaluate(file, "--json").stdout)
    assert result["adapting_bits_per_character"] < 0.7 * result["bits_per_character"]
    for name, figures in result["charrepl"].items():
        assert figures["keystroke_savings"] > result["plain"][name]["keystroke_savings"] + 0.02
        assert figures["first_word_precision"] > result["plain"][name]["first_word_precision"]


def test_what_is_new_is_harder_than_what_is_known(shared_daemon, file):
    known = json.loads(evaluate(file, "--limit", len(LINES), "--json").stdout)
    file.write_text(file.read_text()[len(LINES) :])
    new = json.loads(evaluate(file, "--json").stdout)
    for name, figures in new["charrepl"].items():
        assert figures["keystroke_savings"] < known["charrepl"][name]["keystroke_savings"]
    assert new["bits_per_character"] > known["bits_per_character"]


def test_the_baselines_show_about_as_much_and_do_not_know_the_text_itself(shared_daemon, file, tmp_path):
    corpus = tmp_path / "corpus.txt"
    corpus.write_text(
        "The kettle is cold.\nThe road is long, and every cup is gold.\n" * 20 + file.read_text()
    )
    result = json.loads(evaluate(file, "--baseline-corpus", corpus, "--json").stdout)
    for name, figures in result["charrepl"].items():
        assert result["ngram"][name]["shown"] == pytest.approx(figures["shown"], abs=0.1)
        assert result["history"][name]["shown"] <= figures["shown"] + 0.1
        assert 0 <= result["ngram"][name]["keystroke_savings"] < figures["keystroke_savings"]


def test_a_person_gets_a_table_and_a_terminal_a_bar_first(shared_daemon, file):
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    with Screen([*CHARREPL, "eval", str(file)], env={**env, "TERM": "xterm-256color"}, columns=100) as screen:
        screen.wait_for("typing").wait_for("keys saved")
        assert screen.wait_for_exit() == 0
        for row in (
            "charrepl  quiet",
            "charrepl  normal",
            "charrepl  bold",
            "plain     bold",
            "history   normal",
        ):
            assert row in screen.text
        assert "typing" not in screen.text  # the bar has gone


def test_typists_side_by_side_get_the_ghosts_that_one_alone_gets(shared_daemon):
    text = (LINES * 10)[:2200]  # more than two windows
    (adapting, plain), _ = asyncio.run(
        ghost_requests.ask(text, model="", endpoint=None, advance=lambda count: None)
    )
    assert len(adapting) == len(plain) == len(text)
    seed = random.randrange(2**32)
    print("seed", seed)
    with Client() as client:
        for at in [0, 1, 1023, 1024, 2047, 2048, *random.Random(seed).sample(range(len(text)), 20)]:
            for adapt, ghosts in ((True, adapting), (False, plain)):
                decoding = Decoding(adapt=adapt)
                beside = ghosts[at]
                alone = client.complete(
                    text[:at], min_confidence=display_policy.MIN_CONFIDENCE, decoding=decoding
                )
                # A batched product rounds differently, so that a cut may fall to either side.
                shorter = min(len(alone.text), len(beside.text))
                assert alone.text[:shorter] == beside.text[:shorter]
                assert alone.log_probs[:shorter] == pytest.approx(beside.log_probs[:shorter], abs=1e-3)


@pytest.mark.parametrize("text", ["x", "\n", "\n\n\n", "漢字🙂", "The kettle sings, the kitchen fills" * 15])
def test_any_text_can_be_evaluated(shared_daemon, file, text):
    file.write_text(text)
    done = evaluate(file, "--json", "--baseline-corpus", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["characters"] == len(text)
    assert evaluate(file).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("/nonexistent",), 1, "/nonexistent"),
        (("/dev/null",), 1, "empty"),
        ((__file__, "--baseline-corpus", "/nonexistent"), 1, "/nonexistent"),
        ((__file__, "--model", "nobody"), 1, "there is no model named 'nobody'"),
        ((__file__, "--endpoint", "ipc:///nonexistent"), 1, "no daemon"),
        ((__file__, "--limit", "0"), 2, "--limit"),
        ((), 2, "FILE"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(shared_daemon, arguments, code, says):
    done = evaluate(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert code == 2 or done.stderr.count("\n") == 1


@contextlib.contextmanager
def typing(file):
    """An evaluation that has more to do than it gets time for, once its ghosts are being asked for."""
    file.write_text(LINES * 100)
    # What runs in the background, tests too perhaps, ignores SIGINT.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", heed + CHARREPL[2], "eval", str(file)]
    with (
        Client() as client,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running,
    ):
        before = client.status()["requests"]
        deadline = time.monotonic() + 60
        while client.status()["requests"] < before + 50:
            assert time.monotonic() < deadline
        yield running
        running.kill()


def test_ctrl_c_ends_it_without_a_word(shared_daemon, file):
    with typing(file) as running:
        running.send_signal(signal.SIGINT)
        out, said = running.communicate(timeout=60)
    assert (running.returncode, out, said) == (130, "", "")


def test_a_daemon_that_dies_meanwhile_is_said_in_one_line(daemon, file):
    with typing(file) as running:
        found = control.running()
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)
        out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (1, "")
    assert "the daemon died" in said
    assert said.count("\n") == 1
