"""Doors for others' protocols: each lets a foreign client act for one agent of a game."""
