"""Bilateral negotiations of a factory with several partners at once: what it sees, what it answers, and its shield."""
