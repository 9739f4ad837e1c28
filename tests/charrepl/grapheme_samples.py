"""Characters as people see them that are awkward for who counts code points."""

from __future__ import annotations

from hypothesis import strategies as st

FAMILY, FLAG, THUMB, HEART = "👨\u200d👩\u200d👧", "🇫🇷", "👍🏽", "❤\ufe0f"
# Each of them is one.
CLUSTERS = (
    *("a", " ", "e\u0301", "é", FAMILY, FLAG, THUMB, HEART, "1\ufe0f\u20e3", "한", "\u1112\u1161\u11ab"),
    *("\u0915\u094d\u0937\u093f", "ที่", "กำ", "\u0628\u0650", "Z" + "\u0351\u036b\u0343" * 4, "字", "“", "རྒྱ"),
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
)
# Nothing of them is seen.
INVISIBLE = (
    "\u200b",
    "\u200e",
    "\u200f",
    "\u202e",
    "\u2060",
    "\u2066",
    "\u2069",
    "\ufeff",
    "\u00ad",
    "\u061c",
)
# Parts of clusters, alone.
PARTS = ("\u0301", "\u200d", "\ufe0f", "🇫", "🏽", "\u1161", "\u093f", "\u0600")

clusters = st.lists(st.sampled_from(CLUSTERS), max_size=8)
texts = st.lists(st.sampled_from((*CLUSTERS, *INVISIBLE, *PARTS, "\n")), max_size=10).map("".join)
