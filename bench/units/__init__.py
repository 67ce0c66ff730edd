"""The parts of ``python -m bench learner_units``."""
