"""The four tasks as tables: who is there, what each agent sees, and how it is rewarded.

The facts are those of mpe2 1.1.1, which go back to Lowe et al. 2017, arXiv:1706.02275.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from env_server.environments.mpe import rewards
from env_server.environments.mpe.config import MpeConfig

Floats = NDArray[np.float64]
View = list[tuple[int, int]]
"""What an agent sees: pairs of columns of a copy's row, the number in the first less the one in the second."""
Reward = Callable[[Floats, Floats], None]
"""Writes rewards (B, N) from copies (B, columns)."""

WORDS: Final = 3
"""Length of the speaker's utterance."""
COLOURS: Final = np.array([[0.65, 0.15, 0.15], [0.15, 0.65, 0.15], [0.15, 0.15, 0.65]])
"""Of the three landmarks of ``simple_speaker_listener``."""


class Entity(NamedTuple):
    """A disc in the plane; lengths in units of half the arena's width.

    Attributes:
        name: as in mpe2.
        role: what it is drawn as.
        size: radius.
        collides: whether it pushes others that collide.
        sensitivity: force of a full action; 0: it does not move.
        top_speed: length per second.
        start: it starts uniformly in the square [-start, start].
    """

    name: str
    role: Literal["agent", "adversary", "landmark"]
    size: float
    collides: bool = False
    sensitivity: float = 0.0
    top_speed: float = np.inf
    start: float = 1.0


class Columns:
    """Where things stand in a copy's row of float64 numbers.

    Positions of all entities come first, then velocities of agents, position and colour of the goal, the last
    utterance, and a zero.
    """

    def __init__(self, agents: int, entities: int) -> None:
        """Columns for so many agents among so many entities."""
        self.velocities = range(2 * entities, 2 * (entities + agents))
        self.goal = range(self.velocities.stop, self.velocities.stop + 2)
        self.colour = range(self.goal.stop, self.goal.stop + 3)
        self.words = range(self.colour.stop, self.colour.stop + WORDS)
        self.zero = self.words.stop
        self.count = self.zero + 1

    def position(self, entity: int) -> range:
        """Of an entity."""
        return range(2 * entity, 2 * entity + 2)

    def velocity(self, agent: int) -> range:
        """Of an agent."""
        return self.velocities[2 * agent : 2 * agent + 2]

    def plain(self, *columns: range) -> View:
        """Numbers as they are."""
        return [(column, self.zero) for group in columns for column in group]

    def seen_from(self, agent: int, *positions: range) -> View:
        """Positions relative to an agent's."""
        return [pair for place in positions for pair in zip(place, self.position(agent), strict=True)]


@dataclass(frozen=True)
class Scenario:
    """A configured task.

    Attributes:
        entities: agents, then landmarks.
        columns: of a copy's row.
        views: what each agent sees.
        reward: the task's rule.
        has_goal: whether one landmark is the goal.
        speaks: whether agent 0 utters words, of the goal's colour.
    """

    entities: tuple[Entity, ...]
    columns: Columns
    views: tuple[View, ...]
    reward: Reward
    has_goal: bool = False
    speaks: bool = False

    @property
    def num_agents(self) -> int:
        """How many of the entities act."""
        return len(self.views)

    @property
    def num_landmarks(self) -> int:
        """How many of the entities do not."""
        return len(self.entities) - len(self.views)

    def contacts(self) -> tuple[NDArray[np.int64], Floats]:
        """Pairs of entities that may push one another, int64 (P, 2), and the distances at which they touch, (P,)."""
        solid = [i for i, entity in enumerate(self.entities) if entity.collides]
        pairs = [(i, j) for i in solid if i < self.num_agents for j in solid if i < j]
        sizes = [self.entities[i].size + self.entities[j].size for i, j in pairs]
        return np.array(pairs, np.int64).reshape(-1, 2), np.array(sizes)


def build(config: MpeConfig) -> Scenario:
    """The task of a configuration."""
    return _BUILDERS[config.source](config)


def _landmarks(count: int, size: float, collides: bool = False, start: float = 1.0) -> list[Entity]:
    return [Entity(f"landmark {i}", "landmark", size, collides, start=start) for i in range(count)]


def _spread(config: MpeConfig) -> Scenario:
    """Agents cover landmarks together, without touching one another."""
    count = config.num_agents or 0
    agents = [Entity(f"agent_{i}", "agent", 0.15, collides=True, sensitivity=5.0) for i in range(count)]
    entities = [*agents, *_landmarks(count, 0.05)]
    at = Columns(count, len(entities))
    landmarks = [at.position(count + i) for i in range(count)]
    views = []
    for i in range(count):
        others = [at.position(j) for j in range(count) if j != i]
        silence = [(at.zero, at.zero)] * 2 * len(others)
        own = at.plain(at.velocity(i), at.position(i))
        views.append([*own, *at.seen_from(i, *landmarks, *others), *silence])
    reward = partial(rewards.spread, 2 * 0.15, cast(float, config.local_ratio))
    return Scenario(tuple(entities), at, tuple(views), reward)


def _adversary(config: MpeConfig) -> Scenario:
    """Good agents go to a goal that their adversary does not know."""
    count = config.num_agents or 0
    good = [Entity(f"agent_{i}", "agent", 0.15, sensitivity=5.0) for i in range(count)]
    entities = [Entity("adversary_0", "adversary", 0.15, sensitivity=5.0), *good, *_landmarks(count, 0.08)]
    at = Columns(1 + count, len(entities))
    landmarks = [at.position(1 + count + i) for i in range(count)]
    views = []
    for i in range(1 + count):
        others = [at.position(j) for j in range(1 + count) if j != i]
        goal = [at.goal] if i else []
        views.append(at.seen_from(i, *goal, *landmarks, *others))
    return Scenario(tuple(entities), at, tuple(views), partial(rewards.adversary, at.goal.start), has_goal=True)


def _tag(config: MpeConfig) -> Scenario:
    """Slow predators hunt fast prey among obstacles."""
    hunters, prey, obstacles = config.num_adversaries or 0, config.num_good or 0, config.num_obstacles or 0
    count = hunters + prey
    entities = [
        *(Entity(f"adversary_{i}", "adversary", 0.075, True, 3.0, 1.0) for i in range(hunters)),
        *(Entity(f"agent_{i}", "agent", 0.05, True, 4.0, 1.3) for i in range(prey)),
        *_landmarks(obstacles, 0.2, collides=True, start=0.9),
    ]
    at = Columns(count, len(entities))
    landmarks = [at.position(count + i) for i in range(obstacles)]
    views = []
    for i in range(count):
        others = [at.position(j) for j in range(count) if j != i]
        fleeing = [at.velocity(j) for j in range(hunters, count) if j != i]
        own = at.plain(at.velocity(i), at.position(i))
        views.append([*own, *at.seen_from(i, *landmarks, *others), *at.plain(*fleeing)])
    return Scenario(tuple(entities), at, tuple(views), partial(rewards.tag, hunters, 0.075 + 0.05))


def _speaker_listener(_: MpeConfig) -> Scenario:
    """A speaker, who cannot move, tells a listener, who does not know it, which landmark to go to."""
    agents = [Entity("speaker_0", "agent", 0.075), Entity("listener_0", "agent", 0.075, sensitivity=5.0)]
    entities = [*agents, *_landmarks(len(COLOURS), 0.04)]
    at = Columns(len(agents), len(entities))
    landmarks = [at.position(len(agents) + i) for i in range(len(COLOURS))]
    heard = [*at.plain(at.velocity(1)), *at.seen_from(1, *landmarks), *at.plain(at.words)]
    reward = partial(rewards.speaker_listener, at.goal.start)
    return Scenario(tuple(entities), at, (at.plain(at.colour), heard), reward, has_goal=True, speaks=True)


_BUILDERS: Final[dict[str, Callable[[MpeConfig], Scenario]]] = {
    "simple_spread": _spread,
    "simple_adversary": _adversary,
    "simple_tag": _tag,
    "simple_speaker_listener": _speaker_listener,
}
