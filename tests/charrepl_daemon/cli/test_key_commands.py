"""The commands about keys: what they write, for whom it can be read, and what they refuse."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from charrepl.client import credentials
from tests.charrepl_daemon.network_machine import one_line


def test_a_secret_key_is_its_owners_whatever_the_umask(machine):
    here = machine("here")
    made = here.daemon("keygen", umask=0)
    assert made.returncode == 0
    assert here.key in made.stdout
    secret = here.config / "keys" / "secret.key"
    assert secret.read_text().split()[-1] not in made.stdout
    assert secret.stat().st_mode & 0o777 == 0o600
    assert secret.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in secret.parent.iterdir()] == ["secret.key"]


def test_a_key_file_is_closed_to_others_before_anything_is_in_it(tmp_path, monkeypatch):
    opened: list[int] = []
    fdopen = os.fdopen

    def look(descriptor: int, *arguments, **options):
        found = os.fstat(descriptor)
        assert found.st_size == 0
        opened.append(found.st_mode & 0o777)
        return fdopen(descriptor, *arguments, **options)

    monkeypatch.setattr(os, "fdopen", look)
    before = os.umask(0)
    try:
        credentials.write_secret(tmp_path / "x.key", credentials.generate())
    finally:
        os.umask(before)
    assert opened == [0o600]


def test_a_key_is_not_overwritten_unless_told_to(machine):
    here = machine("here")
    key = here.make_key()
    assert "has a key already" in one_line(here.daemon("keygen").stderr)
    assert here.key == key
    assert here.daemon("keygen", "--force").returncode == 0
    assert here.key != key


def test_a_key_made_for_another_machine_is_allowed_here(machine, tmp_path):
    here = machine("here")
    made = here.daemon("keygen", "laptop", "--json", cwd=tmp_path)
    assert made.returncode == 0
    file = tmp_path / "laptop.key"
    assert file.stat().st_mode & 0o777 == 0o600
    laptop = machine("laptop")
    (laptop.config / "keys").mkdir(mode=0o700, parents=True)
    shutil.copy(file, laptop.config / "keys" / "secret.key")
    listed = json.loads(here.daemon("keys", "--json").stdout)
    assert listed["allowed"] == [{"name": "laptop", "key": laptop.key, "admin": False}]
    assert json.loads(made.stdout)["public"] == laptop.key
    assert "laptop is allowed already" in one_line(here.daemon("keygen", "laptop", cwd=tmp_path).stderr)


def test_another_key_in_the_place_of_a_known_one_needs_force(machine):
    here = machine("here")
    keys = [credentials.encoded(credentials.generate().public) for _ in range(2)]
    for command, says in (
        (("allow", "laptop"), "with another key"),
        (("trust", "tcp://host:1"), "another key"),
    ):
        assert here.daemon(*command, keys[0]).returncode == 0
        assert here.daemon(*command, keys[0]).returncode == 0  # the same again is no news
        assert says in one_line(here.daemon(*command, keys[1]).stderr)
        assert here.daemon(*command, keys[1], "--force").returncode == 0
    listed = json.loads(here.daemon("keys", "--json").stdout)
    assert [entry["key"] for entry in (*listed["allowed"], *listed["trusted"])] == [keys[1]] * 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("allow", "laptop", "short"), "'short' is not a key"),
        (("allow", "../laptop", "K"), "cannot be a name"),
        (("allow", ".laptop", "K"), "cannot be a name"),
        (("trust", "host", "K"), "is not an endpoint"),
        (("trust", "tcp://host:70000", "K"), "is not an endpoint"),
        (("trust", "ipc:///x", "K"), "needs no key"),
        (("revoke", "laptop"), "laptop is not allowed"),
        (("keys",), "no key yet: run charrepl-daemon keygen"),
    ],
)
def test_a_command_about_keys_that_cannot_be_done_is_one_line(machine, arguments, says):
    good = credentials.encoded(credentials.generate().public)
    done = machine("here").daemon(*(good if word == "K" else word for word in arguments))
    assert done.returncode == 1
    assert says in one_line(done.stderr)
