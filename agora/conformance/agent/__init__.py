"""The cases for agents."""

from agora.conformance.agent import (
    bad_spaces,
    bad_values,
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
    bad_spaces.TOPIC,
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
    bad_values.TOPIC,
    resume.TOPIC,
    describe.TOPIC,
)
CASES = tuple(case for topic in TOPICS for case in topic.cases)
