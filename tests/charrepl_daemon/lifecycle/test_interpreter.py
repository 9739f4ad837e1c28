"""Where a program is started: nothing is imported from there, by it or by those that it starts."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from charrepl.system import interpreter
from charrepl_daemon.lifecycle import systemd_service

BIN = Path(sys.executable).parent
OURS = ("charrepl", "charrepl_daemon", "charrepl_train")
NAMES = ("click", "filelock", "jax", "msgspec", "numpy", "random", "secrets", "zmq")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """A user's directory, where modules have the names of ours and of those we need; it is entered."""
    place = tmp_path / "elsewhere"
    code = (
        f"import pathlib; pathlib.Path({str(place)!r}, 'imported-' + __name__).touch(); raise ImportError\n"
    )
    for name in OURS:
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text(code)
    for name in NAMES:
        (place / f"{name}.py").write_text(code)
    monkeypatch.chdir(place)
    return place


def run(command: list[str | Path], **environment: str) -> str:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not (BIN / "charrepl").exists(), reason="the commands are not installed")
def test_nothing_is_imported_from_the_directory_a_user_is_in(home, elsewhere):
    service_stop = next(
        line.removeprefix("ExecStartPre=-")
        for line in systemd_service.unit([]).split("\n")
        if "StartPre" in line
    )
    assert run([BIN / "charrepl", "complete", "every", "--chars", "4", "--greedy"])
    assert "Ready" in run([BIN / "charrepl-daemon", "restart", "--force"])
    assert "Stopped" in run(shlex.split(service_stop))
    for name in OURS:  # which Python itself would take from PYTHONPATH
        shutil.rmtree(elsewhere / name)
    assert "Ready" in run([BIN / "charrepl-daemon", "start"], PYTHONPATH=":/nowhere")
    assert run([BIN / "charrepl", "complete", "every", "--chars", "4", "--greedy"], PYTHONPATH=".")
    assert "Usage" in run([BIN / "charrepl-train", "--help"], PYTHONPATH="./")
    assert "Usage" in run([sys.executable, "-m", "charrepl_train", "--help"])
    assert [path.name for path in elsewhere.glob("imported-*")] == []


def test_what_is_started_finds_what_this_program_has_found(elsewhere, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f":.:lib:{elsewhere}/lib::/opt/b")
    code = "import sys, charrepl; print(charrepl.__file__); print(*sys.path, sep='\\n')"
    (elsewhere / "lib").mkdir()
    (elsewhere / "lib" / "shown.py").write_text(code)
    file, *path = run(interpreter.command("shown"), **interpreter.environment()).splitlines()
    assert Path(file).samefile(sys.modules["charrepl"].__file__)
    assert path[:2] == [f"{elsewhere}/lib", "/opt/b"]
    assert str(elsewhere) not in path
    assert "" not in path


@pytest.mark.parametrize(
    ("variable", "value", "kept"),
    [
        ("PYTHONINSPECT", "1", None),
        ("PYTHONSTARTUP", "/x.py", None),
        ("PYTHONWARNINGS", "error", None),
        ("PYTHONPATH", "relative", None),
        ("PYTHONPATH", "/a:/b", "/a:/b"),
        ("PYTHONHOME", "/opt/python", "/opt/python"),
        ("PYTHONNOUSERSITE", "1", "1"),
        ("PYTHONUTF8", "0", "1"),
    ],
)
def test_of_pythons_own_variables_those_that_say_where_it_is_are_handed_on(
    monkeypatch, variable, value, kept
):
    monkeypatch.setenv(variable, value)
    assert interpreter.environment().get(variable) == kept


def test_a_program_runs_where_python_itself_is_and_where_there_is_nothing_left(tmp_path, monkeypatch):
    help_ = [sys.executable, "-m", "charrepl", "--help"]
    monkeypatch.chdir(Path(pytest.__file__).parents[1])
    assert "Usage" in run(help_, PYTHONPATH=":")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "Usage" in run(help_)


def test_a_ctrl_c_while_a_program_is_imported_leaves_no_traceback():
    code = "from charrepl.system import interpreter as i; import os; i.die_of_ctrl_c(); "
    code += "{}os.kill(os.getpid(), 2)"
    found = [
        subprocess.run([sys.executable, "-c", code.format(then)], capture_output=True, text=True, check=False)
        for then in ("", "i.heed_ctrl_c(); ")
    ]
    assert (found[0].returncode, found[0].stderr) == (-signal.SIGINT, "")
    assert "KeyboardInterrupt" in found[1].stderr
