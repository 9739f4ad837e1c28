"""Names that nobody has."""

from __future__ import annotations

from charrepl_train.text.invented_names import invent

NAMES = ["Anna", "Benno", "Charlotte", "David", "Eva", "Felix", "Greta", "Hannes"]


def test_they_are_new_and_like_those_there_are() -> None:
    invented = invent(NAMES, 500, seed=0, but={"an", "ban", "hanna"})
    assert len(set(invented)) == 500
    assert not {name.lower() for name in invented} & {*(name.lower() for name in NAMES), "an", "ban", "hanna"}
    assert all(name == name.capitalize() and 3 <= len(name) <= 9 for name in invented)
    assert set("".join(invented).lower()) <= set("".join(NAMES).lower())
    first_pairs = {name[:3] for name in NAMES}
    assert sum(name[:3] in first_pairs for name in invented[:20]) > 10


def test_a_seed_gives_the_same_ones() -> None:
    assert invent(NAMES, 50, seed=3, but=()) == invent(NAMES[::-1], 50, seed=3, but=())
    assert invent(NAMES, 50, seed=3, but=()) != invent(NAMES, 50, seed=4, but=())


def test_there_are_as_many_as_there_can_be() -> None:
    assert invent([], 50, seed=0, but=()) == []
    assert invent(["Oo"], 50, seed=0, but=()) == []
    assert 10 < len(invent(["Anna", "Ben"], 2000, seed=0, but=())) < 1000
