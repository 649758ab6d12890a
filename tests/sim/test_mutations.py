"""The bugs that are planted by hand fit the sources of today."""

from collections import Counter

from tests.sim.mutations import MUTATIONS, ROOT


def test_each_bug_has_its_place() -> None:
    places = {each.what: (ROOT / each.path).read_text().count(each.old) for each in MUTATIONS}
    assert {what: count for what, count in places.items() if count != 1} == {}


def test_there_are_enough_of_them_and_each_is_another() -> None:
    assert len(MUTATIONS) >= 25
    assert Counter(each.what for each in MUTATIONS).most_common(1)[0][1] == 1
    assert all(each.old != each.new for each in MUTATIONS)
