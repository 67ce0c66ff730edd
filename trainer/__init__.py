"""The trainer: learning, the policy registry, equilibrium measures and the report."""

from agora.polling import poll_sockets

poll_sockets()
