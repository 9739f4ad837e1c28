"""The commands that ask a daemon, run as a user runs them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

CHARREPL = [sys.executable, "-c", "from charrepl.cli.main import main; main()"]


def charrepl(*arguments: str, stdin: str | bytes = "") -> subprocess.CompletedProcess[bytes]:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return subprocess.run([*CHARREPL, *arguments], input=data, capture_output=True, timeout=120, check=False)


def test_complete_prints_the_continuation_only(shared_daemon):
    done = charrepl("complete", "every cup is wa", "--chars", "4", "--greedy")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"rm, \n" or done.stdout == b"rm.\n\n"


def test_complete_reads_standard_input(shared_daemon):
    by_pipe = charrepl("complete", "--chars", "9", "--greedy", stdin="every cup is wa")
    assert by_pipe.stdout == charrepl("complete", "every cup is wa", "--chars", "9", "--greedy").stdout


def test_without_a_terminal_charrepl_completes_standard_input(shared_daemon):
    done = charrepl(stdin="every cup")
    assert done.returncode == 0
    assert len(done.stdout.decode()) == 201


def test_a_seed_makes_it_repeatable_and_no_seed_does_not(shared_daemon):
    seeded = [charrepl("complete", "x", "--temperature", "2", "--seed", "3").stdout for _ in range(2)]
    free = [charrepl("complete", "x", "--temperature", "2").stdout for _ in range(2)]
    assert seeded[0] == seeded[1]
    assert free[0] != free[1]


@pytest.mark.parametrize("text", ["", "\n", "x" * 1_000_000, "漢字🙂"])
def test_any_text_can_be_completed(shared_daemon, text):
    assert charrepl("complete", "--chars", "3", stdin=text).returncode == 0


GREEDY = ("--chars", "9", "--greedy")


def test_text_is_read_alike_however_it_comes(shared_daemon, tmp_path):
    file = tmp_path / "text.txt"
    file.write_bytes("\ufeffevery cup\r\nis wa".encode() + "é".encode()[:1])
    plain = charrepl("score", "--json", stdin="every cup\nis wa").stdout
    for arguments in (("score", "--json", "-"), ("score", "--json"), ("score", "--json", str(file))):
        assert charrepl(*arguments, stdin=file.read_bytes()).stdout == plain
    by_argument = charrepl("complete", "every cup\nis wa", *GREEDY).stdout
    assert charrepl("complete", "-", *GREEDY, stdin=file.read_bytes()).stdout == by_argument


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"caf\xe9 au lait\n", "not UTF-8 at byte 3, it looks like WINDOWS-1252"),
        ("wide\n".encode("utf-16"), "UTF-16, not UTF-8"),
        (b"%PDF-1.4\n", "a PDF document"),
        (b"a\0b", "has a NUL byte at offset 1"),
    ],
)
def test_what_is_no_text_is_refused_alike_by_name(shared_daemon, tmp_path, data, what):
    file = tmp_path / "text.txt"
    file.write_bytes(data)
    commands = [("complete",), ("complete", "-"), ("score",), ("score", str(file)), ("eval", "-")]
    for arguments in [*commands, ("eval", __file__, "--baseline-corpus", str(file))]:
        done = charrepl(*arguments, stdin=data)
        assert (done.returncode, done.stdout) == (1, b"")
        said = done.stderr.decode()
        name = str(file) if str(file) in arguments else "standard input"
        assert said.startswith(f"Error: {name} ")
        assert what in said
        assert said.count("\n") == 1


@pytest.mark.parametrize("text", [r"MASTER:\n", r"one\r\ntwo", r"a\tb"])
def test_an_escape_that_the_shell_left_as_it_is_gets_a_hint(shared_daemon, text):
    for done in (charrepl("complete", text, "--chars", "1"), charrepl("complete", stdin=text + "\n")):
        assert done.returncode == 0
        assert done.stderr.decode() == (
            r"Hint: \n in quotes is a backslash and an n. For a new line, write $'ROMEO:\n', "
            "or use printf 'ROMEO:\\n' | charrepl complete\n"
        )


def test_text_with_backslashes_among_its_lines_gets_none(shared_daemon):
    assert charrepl("complete", "x\n" + r"printf('\n');" + "\n", "--chars", "1").stderr == b""


def test_score_prints_bits_per_character(shared_daemon, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("every cup is warm")
    done = charrepl("score", str(file))
    assert done.returncode == 0
    assert b"bits per character" in done.stdout
    score = json.loads(charrepl("score", "--json", stdin="every cup is warm").stdout)
    assert score["characters"] == 17
    assert score["bits_per_character"] == pytest.approx(score["nats_per_character"] / 0.693147, rel=1e-5)
    assert f"{score['bits_per_character']:.4f}".encode() in done.stdout


def test_models_lists_them_and_marks_the_default(shared_daemon):
    listed = charrepl("models").stdout.decode()
    assert "* kettle" in listed
    assert json.loads(charrepl("models", "--json").stdout)["default"] == "kettle"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("complete", "x", "--model", "nobody"), 1, "there is no model named 'nobody'"),
        (("complete", "x", "--model", "./nobody"), 1, "no model directory"),
        (("complete", "x", "--model", "a b"), 1, "cannot be a model's name"),
        (("complete", "x", "--chars", "0"), 2, "--chars"),
        (("complete", "x", "--temperature", "-1"), 2, "--temperature"),
        (("complete", "x", "--endpoint", "nonsense"), 1, "nonsense"),
        (("score", "/nonexistent"), 1, "/nonexistent"),
        (("score",), 1, "nothing to score"),
        (("eval", "-", "--baseline-corpus", "-"), 2, "can be read only once"),
        (("dance",), 2, "dance"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(shared_daemon, arguments, code, says):
    done = charrepl(*arguments)
    assert (done.returncode, done.stdout) == (code, b"")
    said = done.stderr.decode()
    assert says in said
    assert "Traceback" not in said
    assert code == 2 or said.count("\n") == 1


@pytest.mark.parametrize("command", ["complete", "score"])
def test_the_model_may_be_named_before_the_command(shared_daemon, command):
    done = charrepl("--model", "nobody", command, __file__)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"there is no model named 'nobody'" in done.stderr
    both = charrepl("--model", "nobody", command, __file__, "--model", "kettle")
    assert (both.returncode, both.stderr) == (0, b"")


@pytest.mark.parametrize("command", ["complete", "score"])
def test_the_configured_model_is_used_where_none_is_named(shared_daemon, shared_home, command):
    config = shared_home / "config" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text('model = "nobody"')
    try:
        assert b"there is no model named 'nobody'" in charrepl(command, stdin="tea").stderr
        assert charrepl(command, "--model", "kettle", stdin="tea").returncode == 0
    finally:
        config.unlink()


def test_debug_shows_the_traceback(shared_daemon):
    assert b"Traceback" in charrepl("complete", "x", "--model", "nobody", "--debug").stderr


def test_a_reader_that_leaves_is_no_error(shared_daemon):
    done = subprocess.run(
        f"{sys.executable} -m charrepl complete x --chars 3000 | head -c 5",
        shell=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert len(done.stdout) == 5
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", ["complete tea --chars 3", "complete tea --chars 3 --json", "models"])
def test_a_closed_standard_output_is_as_good_as_none(shared_daemon, arguments):
    command = f'exec "$0" "$@" {arguments} >&-'
    done = subprocess.run(["sh", "-c", command, *CHARREPL], capture_output=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_mistake_in_the_environment_that_keeps_a_daemon_from_starting_is_named(
    home, daemon_command, monkeypatch
):
    monkeypatch.setenv("XLA_FLAGS", "--nonsense")
    why = "Unknown flag in XLA_FLAGS: --nonsense"
    said = f"XLA cannot read XLA_FLAGS=--nonsense ({why}): correct it, or unset it"
    started = daemon_command("start")
    assert (started.returncode, started.stdout, started.stderr) == (1, "", f"Error: {said}\n")
    done = charrepl("complete", "every")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"Error: the daemon did not start: {said}\n"
