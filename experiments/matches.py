"""Who earns what against whom: the scripted ladder, and trained policies against it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from experiments.playing import Table
from experiments.running import came_from
from experiments.stored import RESULTS, Matches, Played, Training, read_matches, write

GOOD: Final = ("scripted:particle_greedy", "scripted:particle_split", "scripted:particle_decoy", "scripted:random")
ADVERSARIES: Final = ("scripted:particle_guess", "scripted:particle_midpoint", "scripted:particle_follow")
SPREADERS: Final = ("scripted:random", "scripted:particle_noop", "scripted:particle_expert")
TEAM: Final = ("agent_0", "agent_1")
LADDER, CROSS_PLAY = "ladder", "cross_play"
"""Names of the stored matches."""
COMMAND: Final = "python -m experiments paper"
LADDER_EPISODES: Final = 4_000
CROSS_PLAY_EPISODES: Final = 400


def climb(*, again: bool) -> Matches:
    """Play the scripted policies of simple_spread and simple_adversary in 25 cycles.

    What is kept already is returned, unless it shall be played again.
    """
    kept = read_matches(LADDER)
    if kept is not None and not again:
        return kept
    began = time.monotonic()
    with Table() as table:
        played = [_spread(table, policy) for policy in SPREADERS]
        for good in GOOD:
            for adversary in ADVERSARIES:
                played.append(_chase(table, "mpe:simple_adversary", {}, good, adversary, LADDER_EPISODES))
    matches = Matches(title="Scripted policies", provenance=came_from(COMMAND, began), matches=played)
    write(RESULTS / f"{LADDER}.json", matches)
    return matches


def cross(training: Training, *, again: bool) -> Matches:
    """Play a trained team and a trained adversary of simple_adversary against each other and the scripted ones.

    They play on mpe2. What is kept of the same training run is returned, unless it shall be played again.
    """
    kept = read_matches(CROSS_PLAY)
    if kept is not None and kept.configuration == training.configuration and not again:
        return kept
    began, game = time.monotonic(), training.final
    with Table() as table:
        played = [
            _chase(table, game.environment, game.config, good, adversary, CROSS_PLAY_EPISODES, training.actors)
            for good in ("trained", *GOOD)
            for adversary in ("trained", *ADVERSARIES)
        ]
    title = f"{training.algorithm} on simple_adversary against the scripted policies"
    matches = Matches(
        title=title, provenance=came_from(COMMAND, began), matches=played, configuration=training.configuration
    )
    write(RESULTS / f"{CROSS_PLAY}.json", matches)
    return matches


def _spread(table: Table, policy: str) -> Played:
    print(f"simple_spread: {policy}", flush=True)
    agents = [f"agent_{i}" for i in range(3)]
    return table.play("mpe:simple_spread", {}, dict.fromkeys(agents, policy), LADDER_EPISODES)


def _chase(
    table: Table,
    environment: str,
    config: Mapping[str, Any],
    good: str,
    adversary: str,
    episodes: int,
    actors: Mapping[str, str] | None = None,
) -> Played:
    """One match of simple_adversary; whoever is "trained" plays the actor of its seat."""
    print(f"simple_adversary: {good} against {adversary}", flush=True)
    seats = {"adversary_0": adversary, **dict.fromkeys(TEAM, good)}
    policies = {agent: (actors or {})[agent] if policy == "trained" else policy for agent, policy in seats.items()}
    return table.play(environment, config, policies, episodes)
