"""What a shell makes of Tab, for all three programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = {
    "charrepl": "from charrepl.cli.main import main; main()",
    "charrepl-daemon": "from charrepl_daemon.cli.main import main; main()",
    "charrepl-train": "from charrepl_train.__main__ import run; run()",
}
# Says what was imported, where nobody can mistake it for an answer.
SPYING = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
SLOW = {"jax", "numpy", "zmq", "prompt_toolkit", "rich"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs by name, and two models."""
    place = tmp_path_factory.mktemp("completion")
    (place / "bin").mkdir()
    for name, code in PROGRAMS.items():
        script = place / "bin" / name
        script.write_text(f"#!{sys.executable}\n{SPYING}sys.argv[0] = {name!r}\n{code}\n")
        script.chmod(0o755)
    for name in ("lamp", "kettle"):
        (place / "models" / name / "checkpoints" / "best-00000001").mkdir(parents=True)
        (place / "models" / name / "config.toml").touch()
    return place


def environment(place: Path) -> dict[str, str]:
    here = {f"CHARREPL_{kind}_DIR": str(place) for kind in ("DATA", "CONFIG", "RUNTIME")}
    return {**os.environ, **here, "PATH": f"{place / 'bin'}:{os.environ['PATH']}"}


@pytest.mark.parametrize(
    ("line", "offered", "not_offered"),
    [
        ("charrepl --model ", {"lamp", "kettle", "shakespeare"}, {"eval"}),
        ("charrepl complete --model l", {"lamp"}, {"kettle"}),
        ("charrepl --model ./", {"./"}, {"lamp"}),
        ("charrepl e", {"eval"}, {"score"}),
        ("charrepl --a", {"--assertiveness"}, set()),
        ("charrepl --assertiveness ", {"quiet", "normal", "bold"}, set()),
        ("charrepl completion ", {"bash", "zsh", "fish"}, set()),
        ("charrepl-daemon start --model ", {"lamp", "kettle"}, set()),
        ("charrepl-daemon reload k", {"kettle"}, {"lamp"}),
        ("charrepl-daemon start --precision ", {"int8"}, set()),
        ("charrepl-train x.txt --preset ", {"laptop"}, set()),
        ("charrepl-train x.txt --resume --name ", {"lamp"}, set()),
        ("charrepl-train x.txt --from k", {"kettle"}, {"lamp"}),
    ],
)
def test_words_are_completed_and_nothing_slow_is_imported_for_it(
    place: Path, line: str, offered: set[str], not_offered: set[str]
) -> None:
    words = line.split(" ")
    variable = f"_{words[0].upper().replace('-', '_')}_COMPLETE"
    env = environment(place) | {
        variable: "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run([words[0]], env=env, capture_output=True, text=True, check=True)
    found = {answer.partition(",")[2] for answer in done.stdout.splitlines()}
    assert offered <= found
    assert not not_offered & found
    assert not SLOW & {name.partition(".")[0] for name in done.stderr.split()}


# Each sets a line, has the shell complete it, and prints what it offers.
BASH = """
eval "$(charrepl completion bash)" || exit 1
compopt() { :; }
COMP_WORDS=(charrepl --model k); COMP_CWORD=2
_charrepl_completion charrepl 2>/dev/null
echo "${COMPREPLY[@]}"
COMP_WORDS=(charrepl-daemon sta); COMP_CWORD=1; COMPREPLY=()
_charrepl_daemon_completion charrepl-daemon 2>/dev/null
echo "${COMPREPLY[@]}"
complete -p charrepl-train
"""


def test_bash_takes_the_script_and_completes_all_three(place: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", BASH], env=environment(place), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[:2] == ["kettle", "start status"]
    assert "_charrepl_train_completion" in done.stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_theirs(place: Path, shell: str) -> None:
    env = environment(place)
    done = subprocess.run(
        ["charrepl", "completion", shell], env=env, capture_output=True, text=True, check=True
    )
    for name in PROGRAMS:
        assert f"_{name.upper().replace('-', '_')}_COMPLETE={shell}_complete" in done.stdout
    program = shutil.which(shell)
    if program is not None:
        check = [program, "-n", "/dev/stdin"] if shell == "zsh" else [program, "--no-execute"]
        read = subprocess.run(check, input=done.stdout, capture_output=True, text=True, check=False)
        assert (read.returncode, read.stderr) == (0, "")
