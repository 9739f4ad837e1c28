"""What the tests of `charrepl-train` share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The places of a file's tests; shared, for the compiled programs in them."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        for place in ("DATA", "CONFIG", "RUNTIME"):
            patch.setenv(f"CHARREPL_{place}_DIR", str(home / place.lower()))
        patch.setenv("COLUMNS", "80")
        (home / "data" / "models").mkdir(parents=True)
        yield home
