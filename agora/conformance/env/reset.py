"""Episodes start."""

from __future__ import annotations

import numpy as np

from agora.codec import from_tensor
from agora.conformance.case import NotApplicable, expect, expect_equal
from agora.conformance.env.drive import Drive, awaited, reset, transition_in
from agora.conformance.env.subject import COPIES, SHORT, Server, ServerTopic
from agora.conformance.env.views import expect_consistent, expect_flags, expect_views
from agora.v1 import environment_pb2 as pb, policy_pb2

TOPIC = ServerTopic("reset")


@TOPIC.case
async def views_lie_in_their_spaces(server: Server) -> None:
    """A reset shows every agent's observation, the masks and the state, all in their spaces."""
    drive = await server.open()
    expect_views(server, await drive.reset(), COPIES)


@TOPIC.case
async def flags_have_their_shapes(server: Server) -> None:
    """A reset shows rewards float64 and flags bool, each (B, N)."""
    drive = await server.open()
    expect_flags(await drive.reset(), COPIES, len(server.pairs))


@TOPIC.case
async def nothing_is_earned(server: Server) -> None:
    """A reset shows no rewards."""
    rewards = from_tensor((await (await server.open()).reset()).rewards)
    expect(not rewards.any(), "zeros", rewards.tolist())


@TOPIC.case
async def nothing_has_ended(server: Server) -> None:
    """A reset shows nobody's end."""
    shown = await (await server.open()).reset()
    ended = from_tensor(shown.terminated) | from_tensor(shown.truncated)
    expect(not ended.any(), "nobody's end", ended.tolist())


@TOPIC.case
async def somebody_is_awaited(server: Server) -> None:
    """After a reset somebody is awaited in every copy, and whoever is awaited takes part."""
    shown = await (await server.open()).reset()
    expect(bool(awaited(shown).any(axis=1).all()), "somebody awaited in every copy", awaited(shown).tolist())
    expect_consistent(shown)


@TOPIC.case
async def in_the_middle(server: Server) -> None:
    """A reset in the middle of an episode starts another."""
    drive = await server.open()
    await drive.play(1, 2)
    shown = await drive.reset(2)
    expect(not from_tensor(shown.rewards).any(), "no rewards", "some")


@TOPIC.case
async def again_and_again(server: Server) -> None:
    """Ten resets in a row are all answered."""
    drive = await server.open()
    for seed in range(10):
        expect_flags(await drive.reset(seed), COPIES, len(server.pairs))


@TOPIC.case
async def largest_seed(server: Server) -> None:
    """The largest seed, 2**63 - 1, is taken."""
    await (await server.open()).reset(2**63 - 1)


@TOPIC.case
async def seed_too_large(server: Server) -> None:
    """A seed of 2**63 is refused, and the session goes on."""
    drive = await server.open()
    await drive.refused(reset(2**63), policy_pb2.REASON_OUT_OF_BOUNDS, "reset.seed")
    await drive.reset()


async def _refused_copies(server: Server, copies: bytes) -> None:
    drive = await server.open()
    await drive.reset()
    await drive.refused(reset(1, copies))
    await drive.reset()


@TOPIC.case
async def torn_copies(server: Server) -> None:
    """Copies that are not four bytes each are refused, and the session goes on."""
    await _refused_copies(server, b"12345")


@TOPIC.case
async def unknown_copy(server: Server) -> None:
    """A copy that the session does not have is refused, and the session goes on."""
    await _refused_copies(server, np.asarray([COPIES], "<u4").tobytes())


@TOPIC.case
async def falling_copies(server: Server) -> None:
    """Copies that do not rise are refused, and the session goes on."""
    await _refused_copies(server, np.asarray([1, 0], "<u4").tobytes())


async def _restarted(drive: Drive) -> pb.Transition:
    answer = await drive.ask(reset(5, np.asarray([1], "<u4").tobytes()))
    if answer.refusal.reason == policy_pb2.REASON_UNSUPPORTED:
        raise NotApplicable("this game's copies start together")
    return transition_in(answer)


@TOPIC.case
async def one_copy_alone(server: Server) -> None:
    """A copy that starts alone leaves the others as they are; games that cannot do this say UNSUPPORTED."""
    drive = await server.open()
    before = (await drive.play(1, SHORT // 2))[-1]
    after = await _restarted(drive)
    expect(bool(awaited(after)[1].any()), "somebody awaited in the copy that started", "nobody")
    for index, (old, new) in enumerate(zip(before.agents, after.agents, strict=True)):
        for number, (mine, theirs) in enumerate(zip(new.observation, old.observation, strict=True)):
            same = from_tensor(mine)[[0, 2]].tobytes() == from_tensor(theirs)[[0, 2]].tobytes()
            expect(same, f"agents[{index}].observation[{number}] unchanged in the other copies", "others")


@TOPIC.case
async def all_copies_by_number(server: Server) -> None:
    """Naming all copies is the same as naming none."""
    drive = await server.open()
    expected = await drive.reset(3)
    answer = await drive.ask(reset(3, np.arange(COPIES, dtype="<u4").tobytes()))
    expect_equal(transition_in(answer), expected, "the transition")
