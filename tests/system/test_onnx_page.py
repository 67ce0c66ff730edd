"""The page about ONNX files, pasted; and the list of what it says, held against the code."""

import asyncio
import re

import gymnasium
import pytest

from agent_services import model_check, model_sizes
from agent_services.policies import load
from agora.agents.policy import Source, Spaces
from agora.agents.trial import try_out
from agora.spaces import leaves
from bench.processes import ROOT
from tests.support.docs import paste

PAGE = ROOT / "docs" / "onnx.md"


@pytest.mark.timeout(300)
def test_a_policy_is_trained_exported_and_played_as_the_page_says(tmp_path):
    said = paste(PAGE, tmp_path)
    assert re.search(r"station_0 +onnx:station.onnx +-?[\d.]+", said[2]), said
    assert "64 episodes" in said[2] and " 0 default answers" in said[2]
    manual = load("onnx", Source(model=(tmp_path / "ppo.onnx").read_bytes()))
    cart_pole = gymnasium.make("CartPole-v1")
    spaces = Spaces(leaves(cart_pole.observation_space), leaves(cart_pole.action_space))
    asyncio.run(try_out(manual, spaces))


def test_the_page_names_the_limits_that_hold():
    text = PAGE.read_text()
    for number in (model_check.MAX_NODES, model_sizes.MAX_ELEMENTS, model_sizes.MAX_WORK):
        assert f"{number:,}" in text
    assert f"{model_sizes.MAX_LIVE_BYTES >> 20} MiB" in text and f"{model_check.MAX_BYTES >> 20} MiB" in text
    assert f"{model_check.ROWS} rows are the fewest" in text
