"""Episodes go on, and end."""

from __future__ import annotations

import numpy as np

from agora.codec import from_tensor, to_tensor
from agora.conformance.case import NotApplicable, expect
from agora.conformance.env.drive import Drive, awaited
from agora.conformance.env.subject import COPIES, SHORT, Server, ServerTopic
from agora.conformance.env.views import FLAGS, expect_consistent, expect_flags, expect_views
from agora.conformance.values import edge, tensors
from agora.v1 import environment_pb2 as pb

TOPIC = ServerTopic("step")
LONG = 2000
"""Steps after which an episode is no longer waited for."""


async def _episode(server: Server) -> tuple[Drive, list[pb.Transition]]:
    drive = await server.open()
    shown = await drive.play(1, LONG)
    if awaited(shown[-1]).any():
        raise NotApplicable(f"episodes take longer than {LONG} steps")
    return drive, shown


@TOPIC.case
async def views_lie_in_their_spaces(server: Server) -> None:
    """Every step shows observations, masks and the state in their spaces."""
    for shown in await (await server.open()).play(1, SHORT):
        expect_views(server, shown, COPIES)


@TOPIC.case
async def flags_have_their_shapes(server: Server) -> None:
    """Every step shows rewards float64 and flags bool, each (B, N)."""
    for shown in await (await server.open()).play(1, SHORT):
        expect_flags(shown, COPIES, len(server.pairs))


@TOPIC.case
async def flags_agree(server: Server) -> None:
    """Whoever is awaited takes part, and nobody is awaited whose part has ended."""
    for shown in await (await server.open()).play(1, SHORT):
        expect_consistent(shown)


@TOPIC.case
async def episodes_end(server: Server) -> None:
    """An episode ends: nobody is awaited, and everyone's part was terminated or truncated once."""
    _, shown = await _episode(server)
    ended = np.sum([from_tensor(t.terminated) | from_tensor(t.truncated) for t in shown], axis=0)
    expect(bool((ended == 1).all()), "one end for every agent in every copy", ended.tolist())


@TOPIC.case
async def nobody_lives_after_the_end(server: Server) -> None:
    """At an episode's end nobody takes part any more."""
    _, shown = await _episode(server)
    alive = from_tensor(shown[-1].alive)
    expect(not alive.any(), "nobody alive", alive.tolist())


@TOPIC.case
async def something_is_shown_at_the_end(server: Server) -> None:
    """The last step of an episode shows observations in their spaces, too."""
    _, shown = await _episode(server)
    expect_views(server, shown[-1], COPIES)


@TOPIC.case
async def step_after_the_end(server: Server) -> None:
    """A step after the end is refused, and a reset starts another episode."""
    drive, shown = await _episode(server)
    await drive.refused(pb.ConnectRequest(step=drive.actions(shown[0])))
    await drive.reset()


@TOPIC.case
async def step_before_the_reset(server: Server) -> None:
    """A step before the first reset is refused, and the session goes on."""
    drive, other = await server.open(), await server.open()
    await drive.refused(pb.ConnectRequest(step=drive.actions(await other.reset())))
    await drive.reset()


async def _on_the_edge(server: Server, *, upper: bool) -> None:
    drive = await server.open()
    shown = await drive.reset()
    actions = drive.actions(shown)
    for pair, mine, view in zip(server.pairs, actions.agents, shown.agents, strict=True):
        if view.action_mask:
            raise NotApplicable("the game has masks")
        del mine.action[:]
        mine.action.extend(tensors([edge(leaf, COPIES, upper=upper) for leaf in pair.done]))
    expect_flags(await drive.step(actions), COPIES, len(server.pairs))


@TOPIC.case
async def lower_bounds(server: Server) -> None:
    """Actions on their lower bounds are taken."""
    await _on_the_edge(server, upper=False)


@TOPIC.case
async def upper_bounds(server: Server) -> None:
    """Actions on their upper bounds are taken."""
    await _on_the_edge(server, upper=True)


@TOPIC.case
async def rows_that_are_not_awaited(server: Server) -> None:
    """What is sent for an agent in a copy that does not await it changes nothing."""
    one, other = await server.open(), await server.open()
    mine, theirs = await one.reset(), await other.reset()
    for number in range(SHORT):
        idle = ~awaited(mine)
        if not awaited(mine).any():
            break
        first, second = one.actions(mine, number), other.actions(theirs, number)
        for index, part in enumerate(second.agents):
            _turn(part, idle[:, index])
        mine, theirs = await one.step(first), await other.step(second)
        expect(mine == theirs, "the same transition", "another")


def _turn(part: pb.StepEnvironment.AgentActions, rows: np.ndarray) -> None:
    """Put a row that is awaited in the place of those that are not."""
    for tensor in part.action:
        array = from_tensor(tensor).copy()
        array[rows] = array[np.argmin(rows)]
        tensor.CopyFrom(to_tensor(array))


@TOPIC.case
async def flags_are_bytes_of_0_and_1(server: Server) -> None:
    """Flags hold nothing but 0 and 1."""
    for shown in await (await server.open()).play(1, 2):
        for name in FLAGS:
            values = set(getattr(shown, name).data)
            expect(values <= {0, 1}, f"{name}: 0 and 1", values)
