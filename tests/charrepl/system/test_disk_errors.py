"""What to do about a file that cannot be written fits what the system says."""

from __future__ import annotations

import errno
import os

import pytest

from charrepl.system import disk_errors


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space or choose another place"),
        (errno.EROFS, "mount it for writing or choose another place"),
        (errno.EACCES, "get permission to write there or choose another place"),
        (errno.ENAMETOOLONG, "give it a shorter name or choose another place"),
        (errno.EFBIG, "raise the limit on the size of files (ulimit -f) or choose another place"),
        (errno.ELOOP, "choose another place"),
    ],
)
def test_only_a_full_disk_is_to_be_freed(number: int, remedy: str) -> None:
    error = OSError(number, os.strerror(number), "some/file")
    assert disk_errors.advice(error, "or choose another place") == remedy
    assert disk_errors.cause(error) == os.strerror(number)


def test_what_a_library_quotes_of_the_system_is_found_in_its_message() -> None:
    error = ValueError("Failed to write x [OS error 122: EDQUOT Disk quota exceeded]; source='a.cc'")
    assert disk_errors.cause(error) == "Disk quota exceeded"
    assert "free some space" not in disk_errors.advice(error, "and run again")
    assert disk_errors.advice(ValueError("no such thing"), "and run again") == "run again"
