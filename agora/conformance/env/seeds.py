"""A game is a function of its seed and the actions, copy by copy."""

from __future__ import annotations

import numpy as np

from agora.codec import from_tensor
from agora.conformance.case import expect
from agora.conformance.env.drive import awaited, same_bytes
from agora.conformance.env.subject import SHORT, Server, ServerTopic
from agora.v1 import environment_pb2 as pb

TOPIC = ServerTopic("seeds")


@TOPIC.case
async def sessions_agree(server: Server) -> None:
    """The same seed and actions show the same bytes in another session."""
    one, other = await server.open(), await server.open()
    same_bytes(await other.play(7, SHORT), await one.play(7, SHORT), "in another session")


@TOPIC.case
async def repeated(server: Server) -> None:
    """The same seed and actions show the same bytes in the same session again."""
    drive = await server.open()
    same_bytes(await drive.play(7, SHORT), await drive.play(7, SHORT), "for the same episode again")


@TOPIC.case
async def history(server: Server) -> None:
    """An episode does not depend on those before it."""
    fresh, used = await server.open(), await server.open()
    await used.play(99, 3, key=50)
    same_bytes(await used.play(7, SHORT), await fresh.play(7, SHORT), "whatever was played before")


@TOPIC.recommended
async def seeds_differ(server: Server) -> None:
    """Other seeds make other episodes; a game without chance may ignore this."""
    drive = await server.open()
    one, other = await drive.play(1, SHORT), await drive.play(2, SHORT)
    expect([t.SerializeToString() for t in one] != [t.SerializeToString() for t in other], "others", "the same")


@TOPIC.case
async def copies_do_not_depend_on_their_number(server: Server) -> None:
    """A copy plays the same in a session of more copies."""
    few, many = await server.open(copies=2), await server.open(copies=5)
    for mine, theirs in zip(await few.play(7, SHORT), await many.play(7, SHORT), strict=False):
        _expect_rows(mine, theirs, 2)


@TOPIC.case
async def copies_do_not_touch_one_another(server: Server) -> None:
    """What is done in one copy changes nothing in another."""
    one, other = await server.open(copies=2), await server.open(copies=2)
    mine, theirs = await one.reset(7), await other.reset(7)
    for number in range(SHORT):
        if not (awaited(mine)[0].any() and awaited(theirs)[0].any()):
            break
        mine = await one.step(one.actions(mine, number))
        theirs = await other.step(other.actions(theirs, number, rows=[0, 17]))
        _expect_rows(mine, theirs, 1)


def _expect_rows(mine: pb.Transition, theirs: pb.Transition, rows: int) -> None:
    """Fail unless the first rows show the same."""
    for name in ("rewards", "terminated", "truncated", "awaited"):
        first, second = (from_tensor(getattr(shown, name), name)[:rows] for shown in (mine, theirs))
        expect(bool((first == second).all()), f"the same {name}: {first.tolist()}", second.tolist())
    for index, (view, other) in enumerate(zip(mine.agents, theirs.agents, strict=True)):
        for number, (left, right) in enumerate(zip(view.observation, other.observation, strict=True)):
            same = np.array_equal(from_tensor(left)[:rows], from_tensor(right)[:rows])
            expect(same, f"the same agents[{index}].observation[{number}]", "another")
