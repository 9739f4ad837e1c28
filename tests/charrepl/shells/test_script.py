"""What `charrepl shell` prints: each shell reads it, wherever things are."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from charrepl.shells.script import KEYS, script
from tests.charrepl.prompt import CHARREPL

AWKWARD = "a 'b' \\ $HOME \"`é"


@pytest.mark.parametrize("shell", KEYS)
def test_names_reach_the_shell_as_they_are(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    monkeypatch.setenv("CHARREPL_RUNTIME_DIR", str(tmp_path / AWKWARD))
    text = script(shell, model=f"/{AWKWARD}", assertiveness="bold")
    shown = "string join \\n -- $_charrepl_socket $_charrepl_settings"
    if shell != "fish":
        shown = 'printf \'%s\\n\' "${_charrepl_socket[@]}" "${_charrepl_settings[@]}"'
    done = subprocess.run([shell], input=f"{text}\n{shown}\n".encode(), capture_output=True, timeout=60)
    assert done.stderr == b""
    assert done.stdout.decode().splitlines() == [
        str(tmp_path / AWKWARD / "daemon.line"),
        f"host={shell}",
        f"model=/{AWKWARD}",
        "assertiveness=bold",
    ]


def test_a_key_is_for_shells_that_need_one() -> None:
    refused = subprocess.run(
        [*CHARREPL, "shell", "zsh", "--key", "x"], env=os.environ, capture_output=True, text=True, timeout=60
    )
    assert refused.returncode == 2
    assert "leave out --key" in refused.stderr
