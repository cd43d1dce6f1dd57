"""Which pods are nobody's."""

from __future__ import annotations

from labhub.reconcile import GRACE_SECONDS, find_orphans


def test_a_pod_is_an_orphan_after_it_has_been_nobodys_for_the_grace() -> None:
    since: dict[str, float] = {}
    assert find_orphans(["a", "b"], ["b"], since, 0) == []
    assert find_orphans(["a", "b"], ["b"], since, GRACE_SECONDS - 1) == []
    assert find_orphans(["a", "b"], ["b"], since, GRACE_SECONDS) == ["a"]


def test_a_pod_that_was_somebodys_in_between_begins_anew() -> None:
    since: dict[str, float] = {}
    assert find_orphans(["a"], [], since, 0) == []
    assert find_orphans(["a"], ["a"], since, GRACE_SECONDS - 1) == []
    assert find_orphans(["a"], [], since, GRACE_SECONDS) == []
    assert find_orphans([], [], since, GRACE_SECONDS + 1) == []
    assert since == {}
