"""What the tests of `charrepl-train` share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import live_in


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The places of a file's tests; shared, for the compiled programs in them."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        live_in(home, patch)
        patch.setenv("COLUMNS", "80")
        (home / "data" / "models").mkdir(parents=True)
        yield home
