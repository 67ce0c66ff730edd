"""Agent services: gRPC servers that answer for agents by running policies."""

from agora.polling import poll_sockets

poll_sockets()
