"""The losses of learners, as pure functions with the papers' names."""
