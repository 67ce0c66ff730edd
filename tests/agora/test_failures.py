"""Episodes that failed are counted, told with the first cause, and too many of them are an end."""

import pytest

from agora.failures import MAX_FAILED_SHARE, Failures, words
from agora.v1 import rollout_pb2 as pb


@pytest.mark.parametrize(
    ("step", "agent", "told"),
    [
        (-1, "", "copy 3 in its reset: it broke"),
        (0, "", "copy 3 in step 0: it broke"),
        (7, "station_1", "copy 3 in step 7, station_1: it broke"),
        (-1, "station_1", "copy 3 in its reset, station_1: it broke"),
    ],
)
def test_a_failure_in_a_line(step, agent, told):
    assert words(pb.EpisodeFailure(copy=3, step=step, agent=agent, cause="it broke")) == told


def test_failures_add_up_and_the_first_is_told():
    failures = Failures()
    assert str(failures) == "0 of 0 episodes failed"
    failures.add(1000, [])
    assert str(failures) == "0 of 1,000 episodes failed"
    failures.add(500, ["one", "two"])
    failures.add(500, iter(["three"]))
    assert (failures.episodes, failures.failed, failures.first) == (2000, 3, "one")
    assert str(failures) == "3 of 2,000 episodes failed; the first, one"


def test_more_than_a_share_is_too_many():
    failures = Failures()
    assert failures.excess(0.0) == failures.excess(MAX_FAILED_SHARE) == ""
    failures.add(20, ["a", "b"])
    assert MAX_FAILED_SHARE == 0.1 and failures.excess(MAX_FAILED_SHARE) == ""
    assert failures.excess(0.05) == "2 of 20 episodes failed; the first, a: more than the allowed share of 0.05"
    failures.add(0, ["c"])
    assert failures.excess(MAX_FAILED_SHARE) and not failures.excess(1.0)
