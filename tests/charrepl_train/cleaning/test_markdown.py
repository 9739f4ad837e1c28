"""What is left of Markdown."""

from __future__ import annotations

import pytest

from tests.charrepl_train.cleaning.cleaning import clean, counted

NOTE = """\
---
title: A walk
tags: [x, y]
---
# A walk

See [the map](https://example.org/a_(b) "Map") and [the other][1], ![a hill](hill.png).

```python
x = "```"
```
~~~
more
~~~

[1]: https://example.org/other "Other"
[![badge](b.svg)](x) *So* it was[^1].
[^1]: In 2025.
"""


def test_what_is_read_is_left_and_the_rest_is_counted() -> None:
    assert clean(NOTE, "markdown") == (
        "# A walk\n\nSee the map and the other, a hill.\n\n\nbadge *So* it was[^1].\n[^1]: In 2025.\n"
    )
    assert counted(NOTE, "markdown") == {"front matter": 1, "link targets": 6, "blocks of code": 2}


@pytest.mark.parametrize(
    "text",
    [
        "---\nA line, and no settings.\n---\nText\n",
        "---\na: 1\nand no end\n",
        "```\nno end\n",
        "a [b] (c) [d]\n",
        "Use `code` <here>\n",
    ],
)
def test_what_only_looks_a_little_like_it_is_kept(text: str) -> None:
    assert clean(text, "markdown") == text
