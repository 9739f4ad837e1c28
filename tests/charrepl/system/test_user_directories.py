"""Where a user's files are: the same places for every process, whatever environment it was started in."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from charrepl.cli.options import FilePath
from charrepl.errors import CharreplError
from charrepl.settings import model_names
from charrepl.system import paths, user_directories

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
VARIABLES = [f"CHARREPL_{place}_DIR" for place in ("DATA", "CONFIG", "RUNTIME")]
XDG = ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, and an environment that says nothing more."""
    for variable in [*VARIABLES, *XDG]:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(user_directories, "_PUBLIC", (str(tmp_path / "public"), str(tmp_path / "other")))
    monkeypatch.setattr(user_directories, "_SESSIONS", tmp_path / "run" / "user")
    for name in ("public", "other", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def private(public: Path) -> Path:
    return public / f"charrepl-{os.geteuid()}"


def test_the_usual_places(home: Path, tmp_path: Path) -> None:
    assert paths.config_file() == home / ".config" / "charrepl" / "config.toml"
    assert paths.models_dir() == home / ".local" / "share" / "charrepl" / "models"
    assert paths.runtime_dir() == private(tmp_path / "public")
    assert stat.S_IMODE(paths.runtime_dir().stat().st_mode) == 0o700


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("value", ["data", "./data", "../data", "."])
def test_a_place_that_would_be_another_for_each_process_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(CharreplError, match=f"^{variable}={value} is not an absolute path: give one"):
        paths.check()
    monkeypatch.setenv(variable, "~nobody-of-that-name/data")
    with pytest.raises(CharreplError, match=f"^{variable}=~.*: there is no such home directory: give a path"):
        paths.check()


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_place_whose_name_is_not_utf_8_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "/tmp/caf\udce9")
    with pytest.raises(CharreplError, match=f"is not a UTF-8 name: set {variable} to"):
        paths.check()


def test_a_home_in_a_variable_is_expanded(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARREPL_DATA_DIR", "~/my data\nhere")
    assert paths.data_dir() == home / "my data\nhere"


def test_relative_xdg_places_are_ignored(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in XDG:
        monkeypatch.setenv(variable, "relative")
    test_the_usual_places(home, tmp_path)


@pytest.mark.parametrize("what", ["missing", "a file", "for all to write to", "too long", "somebody else's"])
def test_without_a_runtime_directory_of_ones_own_there_is_a_private_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, recwarn: pytest.WarningsRecorder
) -> None:
    named = tmp_path / ("x" * 100 if what == "too long" else "xdg")
    if what == "a file":
        named.touch()
    elif what != "missing":
        named.mkdir()
    if what == "for all to write to":
        named.chmod(0o777)
    if what == "somebody else's":
        if os.geteuid():
            pytest.skip("only root can give a directory away")
        os.chown(named, 65534, 65534)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(named))
    for temporary in ("/nowhere", str(tmp_path)):
        monkeypatch.setenv("TMPDIR", temporary)
        assert paths.runtime_dir() == private(tmp_path / "public")
    assert paths.endpoint()
    assert not list(recwarn)


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_runtime_directory_of_ones_own_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    (tmp_path / "xdg").mkdir(mode)
    (tmp_path / "link").symlink_to("xdg")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "link"))
    assert paths.runtime_dir() == tmp_path / "link" / "charrepl"


def test_a_shell_without_the_sessions_variable_finds_the_sessions_directory(
    public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_directories, "_SESSIONS", public)  # a short name, as a socket's has to be
    session = public / str(os.geteuid())
    session.mkdir()
    assert paths.runtime_dir() == session / "charrepl"


@pytest.mark.parametrize("taken", ["link", "file", "open", "missing"])
def test_a_private_place_that_another_has_taken_is_left_for_the_next(tmp_path: Path, taken: str) -> None:
    place = private(tmp_path / "public")
    if taken == "link":
        place.symlink_to(tmp_path / "home")
    elif taken == "file":
        place.touch()
    elif taken == "open":
        place.mkdir()
        place.chmod(0o777)
    else:
        (tmp_path / "public").rmdir()
    assert paths.runtime_dir() == private(tmp_path / "other")


def test_where_nothing_can_be_made_the_place_is_named(tmp_path: Path) -> None:
    for public in ("public", "other"):
        (tmp_path / public).rmdir()
    (tmp_path / "public").touch()
    with pytest.raises(CharreplError, match=r"cannot create .*public.*: Not a directory: .*RUNTIME_DIR"):
        paths.private_dir(paths.runtime_dir())


def test_a_directory_that_others_need_is_not_to_be_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared" / "theirs").mkdir(parents=True)
    monkeypatch.setenv("CHARREPL_RUNTIME_DIR", str(tmp_path / "shared"))
    with pytest.raises(
        CharreplError, match=r"RUNTIME_DIR to a directory of its own, such as .*shared/charrepl"
    ):
        paths.check_private(paths.runtime_dir())


SOMEBODY = """
import os
from pathlib import Path
from charrepl.system import paths
from charrepl.system import user_directories
user_directories._PUBLIC = (os.environ["PUBLIC"],)
user_directories._SESSIONS = Path("/nowhere")
os.setgid(int(os.environ["UID"])); os.setuid(int(os.environ["UID"]))
paths.private_dir(paths.data_dir())
print(paths.data_dir(), paths.config_file().parent, paths.runtime_dir(), sep="\\n")
"""


def places_of(uid: int, public: Path, **environment: str) -> list[str]:
    """The data, configuration and runtime directory of another user."""
    environment |= {"UID": str(uid), "PUBLIC": str(public), "PATH": os.environ["PATH"]}
    for folder in [public, *public.parents]:
        folder.chmod(folder.stat().st_mode | 0o711)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SOMEBODY],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@as_root
@pytest.mark.parametrize("named", [None, "", "/", "/root", "relative", "/nonexistent/home"])
def test_a_user_without_a_home_or_a_name_has_a_private_place(tmp_path: Path, named: str | None) -> None:
    (tmp_path / "public").chmod(0o1777)
    said = places_of(54321, tmp_path / "public", **({} if named is None else {"HOME": named}))
    place = f"{tmp_path}/public/charrepl-54321"
    assert said == [f"{place}/data/charrepl", f"{place}/config/charrepl", place]
    assert stat.S_IMODE(Path(place).stat().st_mode) == 0o700


@as_root
def test_a_home_that_a_group_shares_is_a_home(tmp_path: Path) -> None:
    (tmp_path / "public").chmod(0o1777)
    (tmp_path / "home").chmod(0o777)
    said = places_of(54321, tmp_path / "public", HOME=str(tmp_path / "home"))
    assert said[0] == f"{tmp_path}/home/.local/share/charrepl"


@as_root
def test_root_leaves_nothing_in_the_home_it_came_from(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(home, 54321, 54321)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    for place in (paths.data_dir(), paths.config_file()):
        assert not place.is_relative_to(home)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: SimpleNamespace(pw_dir=str(home)))
    assert paths.data_dir().is_relative_to(home)  # a volume, mounted where root's own home is


@as_root
def test_root_heeds_what_it_is_told_outside_of_homes(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(home, 54321, 54321)
    (tmp_path / "volume").mkdir()
    os.chown(tmp_path / "volume", 54321, 54321)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "volume"))
    assert paths.data_dir() == tmp_path / "volume" / "charrepl"


def test_a_path_may_begin_with_the_home_wherever_one_is_taken(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "m").mkdir()
    (home / "config.toml").write_text('model = "~/m"\n')
    monkeypatch.setenv("CHARREPL_CONFIG_DIR", str(home))
    assert model_names.chosen() == model_names.absolute("~/m") == str(home / "m")
    monkeypatch.setenv("CHARREPL_MODEL", "~/other")
    assert model_names.chosen() == str(home / "other")
    assert model_names.find("~/m") == home / "m"
    assert FilePath().convert("~/x.txt", None, None) == home / "x.txt"
    assert FilePath().convert("~nobody-of-that-name", None, None) == Path("~nobody-of-that-name")


def test_a_dot_is_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert model_names.find(".") == tmp_path / "deep"
    assert model_names.find("..") == tmp_path


def test_a_directory_that_has_been_removed_is_no_place_for_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(CharreplError, match="there is no model directory"):
        model_names.absolute("./m")
    assert model_names.absolute("lamp") == "lamp"
