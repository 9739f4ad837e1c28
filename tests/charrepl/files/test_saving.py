"""Saving over a file: the old text or the new one is there, and all else about the file stays as it was."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl.files import backups, documents
from charrepl.files.documents import Document
from charrepl.system import user_directories

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can make other users' files")
NOBODY = 65534
# Rights of one more user, as the kernel writes them (linux/posix_acl_xattr.h).
ONE_MORE_READER = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHi", tag, rights, who)
    for tag, rights, who in [
        (1, 6, -1),
        (2, 4, 1234),
        (4, 4, -1),
        (16, 4, -1),
        (32, 0, -1),
    ]
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder"


def opened(path: Path, text: str = "old\n") -> Document:
    path.write_text(text)
    return documents.read(path)[1]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def in_a_child(code: str, *arguments: object, user: int = 0) -> str:
    """What a process says that saves, as another user or under limits of its own."""
    program = f"""if True:
        import os, resource, sys
        from pathlib import Path
        from charrepl.files import documents
        from charrepl.errors import CharreplError
        user, path, *rest = sys.argv[1:]
        path = Path(path)
        known = documents.read(path)[1]
        if int(user):
            os.setgroups([])
            os.setgid(int(user))
            os.setuid(int(user))
        try:
            {code}
        except CharreplError as error:
            print(error)
    """
    command = [sys.executable, "-c", program, str(user), *map(str, arguments)]
    with tempfile.TemporaryDirectory(dir="/tmp") as data:
        if user:
            os.chown(data, user, user)
        places = {**os.environ, "CHARREPL_DATA_DIR": data}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True, env=places
        ).stdout


def test_every_name_of_a_file_has_the_new_text(folder: Path) -> None:
    known = opened(folder / "one")
    os.link(folder / "one", folder / "two")
    documents.write(folder / "one", "new\n", known=known)
    assert (folder / "two").read_text() == "new\n"
    assert (folder / "one").stat().st_nlink == 2
    assert names(folder) == ["one", "two"]
    assert names(folder.parent / "data" / "sessions") == []  # where a copy was


@pytest.mark.parametrize("links", [1, 2])
def test_owner_mode_and_attributes_are_kept(folder: Path, links: int) -> None:
    path = folder / "text"
    known = opened(path)
    if links == 2:
        os.link(path, folder / "other")
    if os.getuid() == 0:
        os.chown(path, 1234, 1235)
    path.chmod(0o640)
    attributes = {}
    for name, value in (("user.note", b"\0\xff"), ("system.posix_acl_access", ONE_MORE_READER)):
        with contextlib.suppress(OSError, AttributeError):  # not on every file system, nor on a Mac
            os.setxattr(path, name, value)
            attributes[name] = value
    before = path.stat()
    documents.write(path, "new\n", known=known)
    after = path.stat()
    assert path.read_text() == "new\n"
    for what in ("st_uid", "st_gid", "st_mode", "st_nlink"):
        assert getattr(after, what) == getattr(before, what)
    for name, value in attributes.items():
        assert os.getxattr(path, name) == value


@contextlib.contextmanager
def special(path: Path, kind: str) -> Iterator[None]:
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a directory":
        path.mkdir()
    elif kind == "a device":
        path.symlink_to("/dev/null")
    else:
        with socket.socket(socket.AF_UNIX) as listening, contextlib.chdir(path.parent):
            listening.bind(path.name)  # short: a socket's path may have 107 bytes
            yield
            return
    yield


@pytest.mark.parametrize("kind", ["a pipe", "a directory", "a device", "a socket"])
@pytest.mark.parametrize("over", [False, True])
def test_what_is_no_file_is_never_written_over(folder: Path, kind: str, over: bool) -> None:
    path = folder / "x"
    with special(path, kind):
        before = path.stat()
        with pytest.raises(CharreplError, match=f"is {kind}, not a file: /save another"):
            documents.write(path, "new\n", over=over)
        assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)


def test_a_protected_file_is_written_over_only_by_force_and_stays_protected(folder: Path) -> None:
    path = folder / "text"
    known = opened(path)
    path.chmod(0o444)
    with pytest.raises(CharreplError, match=r"is protected \(mode 0444\): /save! writes to it"):
        documents.write(path, "new\n", known=known)
    assert path.read_text() == "old\n"
    documents.write(path, "new\n", known=known, over=True)
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_what_another_program_wrote_since_is_not_written_over(folder: Path) -> None:
    path = folder / "text"
    known = opened(path)
    path.write_text("theirs\n")
    with pytest.raises(
        CharreplError, match="has changed since it was opened or saved here: /save! overwrites"
    ):
        documents.write(path, "new\n", known=known)
    assert path.read_text() == "theirs\n"
    known = documents.write(path, "new\n", known=known, over=True)
    again = documents.write(path, "newer\n", known=known)  # that was our own change
    with pytest.raises(CharreplError, match="has changed since"):
        documents.write(path, "newest\n", known=known)  # and of another prompt with that file it is not
    path.unlink()
    path.write_text("newer\n")  # another file, and nothing in it that would be lost
    again = documents.write(path, "newest\n", known=again)
    path.unlink()
    documents.write(path, "newest\n", known=again)
    assert path.read_text() == "newest\n"


def test_a_file_that_is_not_the_writers_own_is_not_written_over(folder: Path) -> None:
    path = folder / "text"
    known = opened(folder / "own")
    opened(path)
    for mine in (None, known):
        with pytest.raises(CharreplError, match=f"exists already: /save! {path} overwrites it"):
            documents.write(path, "new\n", known=mine)
    assert path.read_text() == "old\n"


def test_a_new_file_has_the_rights_that_the_umask_leaves(folder: Path) -> None:
    before = os.umask(0o027)
    try:
        documents.write(folder / "text", "new\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / "text").stat().st_mode) == 0o640
    with pytest.raises(CharreplError, match=f"there is no directory {folder}/none: make it first"):
        documents.write(folder / "none" / "text", "new\n")
    assert names(folder) == ["text"]


def test_links_are_followed_also_to_a_file_that_is_yet_to_be(folder: Path) -> None:
    (folder / "place").mkdir()
    link = folder / "link"
    link.symlink_to("place/text")
    known = documents.write(link, "first\n")
    documents.write(link, "second\n", known=known)
    assert (folder / "place" / "text").read_text() == "second\n"
    assert link.is_symlink()
    (folder / "loop").symlink_to("loop")
    with pytest.raises(CharreplError, match="Too many levels of symbolic links"):
        documents.write(folder / "loop", "new\n")


SAVE = 'documents.write(path, "new\\n", known=known)'


@AS_ROOT
def test_a_file_is_written_to_where_its_directory_is_not(public: Path) -> None:
    path = public / "text"
    opened(path)
    os.chown(path, NOBODY, NOBODY)
    before = path.stat()
    assert in_a_child(SAVE, path, user=NOBODY) == ""
    assert path.read_text() == "new\n"
    assert path.stat().st_ino == before.st_ino
    path.chmod(0o444)
    assert "is protected" in in_a_child(SAVE, path, user=NOBODY)
    assert in_a_child('documents.write(path, "newer\\n", known=known, over=True)', path, user=NOBODY) == ""
    assert path.read_text() == "newer\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


@AS_ROOT
def test_another_users_file_stays_theirs(public: Path) -> None:
    path = public / "text"
    opened(path)
    public.chmod(0o777)
    path.chmod(0o666)
    assert in_a_child(SAVE, path, user=NOBODY) == ""
    assert path.read_text() == "new\n"
    assert path.stat().st_uid == 0
    path.chmod(0o644)
    said = in_a_child('documents.write(path, "newer\\n", known=known, over=True)', path, user=NOBODY)
    assert said == f"cannot save {path}: Permission denied; /save another file\n"
    assert path.read_text() == "new\n"
    assert names(public) == ["text"]


LIMITED = (
    "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, -1)); "
    'documents.write(path if not rest else path.parent / rest[0], "new\\n" * 5000, known=known)'
)


@pytest.mark.parametrize("links", [1, 2])
def test_a_disk_that_fills_half_way_costs_the_new_text_only(folder: Path, links: int) -> None:
    path = folder / "text"
    old = "old\n" * 2000
    opened(path, old)
    if links == 2:
        os.link(path, folder / "two")
    said = in_a_child(LIMITED, path)
    assert said == f"cannot save {path}: File too large; /save another file\n"
    assert path.read_text() == old
    assert names(folder) == ["text", "two"][:links]
    assert in_a_child(LIMITED, path, "new").startswith(f"cannot save {folder / 'new'}: ")
    assert names(folder) == ["text", "two"][:links]


@given(
    text=st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]), min_size=1),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
)
def test_a_file_keeps_its_line_ends_and_its_byte_order_mark(
    tmp_path_factory: pytest.TempPathFactory, text: str, line_end: str, mark: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    text = text.lstrip("\ufeff")
    data = ("\ufeff" * mark + text.replace("\n", line_end)).encode()
    path.write_bytes(data)
    try:
        read, known = documents.read(path)
    except CharreplError:
        return  # it begins as another kind of file does
    assert read == text
    documents.write(path, read, known=known)
    assert path.read_bytes() == data


def test_line_ends_that_differ_become_the_same(folder: Path) -> None:
    path = folder / "text"
    path.write_bytes(b"one\r\ntwo\nthree\r")
    text, known = documents.read(path)
    documents.write(path, text, known=known)
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_a_name_as_long_as_can_be_is_saved(folder: Path) -> None:
    path = folder / ("漢" * 85)
    known = documents.write(path, "new\n")
    documents.write(path, "newer\n", known=known)
    assert path.read_text() == "newer\n"


KILLED_HALF_WAY = """if True:
    import resource, signal, sys
    from pathlib import Path
    from charrepl.files import documents
    known = documents.read(Path(sys.argv[1]))[1]
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (9000, -1))
    documents.write(Path(sys.argv[1]), "new\\n" * 5000, known=known)
"""


def test_of_a_save_that_was_killed_half_way_the_old_text_is_found(folder: Path) -> None:
    path, old = folder / "my text", "old\n" * 2000
    opened(path, old)
    os.link(path, folder / "two")  # so that it is written into
    done = subprocess.run([sys.executable, "-c", KILLED_HALF_WAY, path], timeout=60, check=False)
    assert done.returncode == -signal.SIGXFSZ
    assert path.read_text() != old
    [(place, name)] = backups.left_behind()
    assert name == "my text"
    assert place.read_text() == old
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_the_backup_of_a_save_that_goes_on_is_not_told_of(
    home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "data").write_text("in the way of the sessions")
    (home / "own").mkdir(mode=0o700)
    monkeypatch.setattr(user_directories, "_PUBLIC", [str(home / "own")])
    with (folder / "text").open("wb+") as file, contextlib.closing(backups.Backup(file.fileno(), "t")) as one:
        assert one.path.is_relative_to(home / "own")
        assert backups.left_behind() == []
    assert [left.path for left in backups.left_behind()] == [one.path]
