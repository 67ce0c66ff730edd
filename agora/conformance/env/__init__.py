"""The cases for environment servers."""

from agora.conformance.env import collect, errors, lease, open, order, payoff, played, reset, seeds, step

TOPICS = (
    open.TOPIC,
    reset.TOPIC,
    step.TOPIC,
    errors.TOPIC,
    seeds.TOPIC,
    order.TOPIC,
    lease.TOPIC,
    played.TOPIC,
    payoff.TOPIC,
    collect.TOPIC,
)
CASES = tuple(case for topic in TOPICS for case in topic.cases)
