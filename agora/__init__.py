"""Agora: multi-agent economies as services. The contract in Python, for whoever plugs in an agent or a game."""
