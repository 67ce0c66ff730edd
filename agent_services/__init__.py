"""Agent services: gRPC servers that answer for agents by running policies."""
