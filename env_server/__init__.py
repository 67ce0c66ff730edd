"""The environment server: the rules of the games, rollouts, sessions and the trajectory log."""

from agora.polling import poll_sockets

poll_sockets()
