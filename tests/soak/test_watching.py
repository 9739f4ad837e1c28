"""What the soak takes for a leak."""

from __future__ import annotations

import os

import pytest

from tests.soak.watching import Watch

FLOOD, LEAK = 200.0, 2.0


@pytest.mark.parametrize(
    ("sizes", "grows"),
    [
        ([400 + FLOOD * (n % 7 == 6) for n in range(60)], False),  # a flood now and then, given back
        ([400 + FLOOD * (n >= 50) for n in range(60)], False),  # one at the end
        ([400 + LEAK * n + FLOOD * (n % 7 == 6) for n in range(60)], True),
        ([400 + 50.0 * (n >= 30) for n in range(60)], True),  # a step that stays
    ],
)
def test_what_is_given_back_is_no_leak_and_what_is_kept_is_one(sizes, grows, capsys) -> None:
    watch = Watch(os.getpid())
    watch._seen = [(float(n), size, 20) for n, size in enumerate(sizes)]
    assert watch.report(1.02) == grows


def test_descriptors_that_are_never_closed_are_a_leak(capsys) -> None:
    watch = Watch(os.getpid())
    watch._seen = [(float(n), 400.0, 20 + n) for n in range(60)]
    assert watch.report(1.02)
