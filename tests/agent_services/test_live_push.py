"""The measurement of live push, in small."""

from bench import live_push


def test_versions_are_swapped_between_frames():
    rows = live_push.run(quick=True, versions=40)
    assert all(row.holds for row in rows), [row for row in rows if not row.holds]
