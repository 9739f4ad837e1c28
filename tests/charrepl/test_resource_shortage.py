"""What ran short is told from how it is put: by Python, the loader, C libraries and XLA."""

from __future__ import annotations

import errno
import os
import resource

import pytest

from charrepl import resource_shortage

SAYS = {
    "can't start new thread": "no more threads can be started",
    "Resource temporarily unavailable (src/thread.cpp:241)": "no more threads can be started",
    "ImportError: _lapack.so: failed to map segment from shared object": "memory ran short",
    "Unable to allocate 4.00 MiB for an array with shape (512, 2048)": "memory ran short",
    "RESOURCE_EXHAUSTED: Out of memory allocating 268431360 bytes.": "memory ran short",
    "terminate called after throwing an instance of 'std::bad_alloc'": "memory ran short",
    "RESOURCE_EXHAUSTED: Error reading shard [Too many open files]": "too many files are open",
}


@pytest.mark.parametrize("text", SAYS)
def test_it_is_recognised_in_what_was_printed_and_in_what_was_raised(text: str) -> None:
    for told in (
        resource_shortage.in_text(f"Traceback:\n  {text}\n"),
        resource_shortage.cause(RuntimeError(text)),
    ):
        assert told is not None
        assert told.startswith(SAYS[text])


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "memory ran short"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "memory ran short"),
        (OSError(errno.EMFILE, "in other words"), "too many files are open"),
        (BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "no more threads can be started"),
    ],
)
def test_it_is_recognised_behind_another_error(error: OSError, says: str) -> None:
    outer = ValueError("a shard could not be read")
    outer.__cause__ = error
    for found in (error, outer):
        told = resource_shortage.cause(found)
        assert told is not None
        assert told.startswith(says)


def test_what_bounds_it_is_said() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert f"(ulimit -n is {soft})" in resource_shortage.said("files")


def test_damage_is_no_shortage() -> None:
    assert resource_shortage.cause(ValueError("sizes.json: 12 bytes of 24")) is None
    assert resource_shortage.cause(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))) is None
    assert resource_shortage.in_text("") is None
