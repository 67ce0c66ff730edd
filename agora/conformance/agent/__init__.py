"""The cases for agents."""

from agora.conformance.agent import (
    deadlines,
    describe,
    errors,
    exploration,
    masks,
    memory,
    negotiation,
    order,
    resume,
    seeds,
    several,
    shapes,
    versions,
)

TOPICS = (
    negotiation.TOPIC,
    shapes.TOPIC,
    several.TOPIC,
    masks.TOPIC,
    order.TOPIC,
    seeds.TOPIC,
    exploration.TOPIC,
    memory.TOPIC,
    versions.TOPIC,
    deadlines.TOPIC,
    errors.TOPIC,
    resume.TOPIC,
    describe.TOPIC,
)
CASES = tuple(case for topic in TOPICS for case in topic.cases)
