"""Draws depend on what is drawn, not on who draws it together with what else."""

import numpy as np

from agora.randomness import generator, normal_rows, uniform_rows


def test_rows_do_not_depend_on_the_batch():
    everyone = normal_rows(np.arange(64, dtype=np.uint32), 8, 7, 3, 1)
    some = normal_rows(np.array([40, 3, 17], np.uint32), 8, 7, 3, 1)
    assert np.array_equal(some, everyone[[40, 3, 17]])


def test_keys_and_seeds_give_other_draws():
    draws = {uniform_rows(np.zeros(1, np.uint32), 1, *key).item() for key in [(1, 2), (2, 1), (1, 2, 0), (1, 3), (12,)]}
    assert len(draws) == 5


def test_draws_are_standard_normal_and_uniform():
    normal = normal_rows(np.arange(20_000, dtype=np.uint32), 4, 1).ravel()
    uniform = uniform_rows(np.arange(20_000, dtype=np.uint32), 4, 1).ravel()
    assert abs(normal.mean()) < 0.015 and abs(normal.std() - 1) < 0.015
    assert abs(uniform.mean() - 0.5) < 0.005 and uniform.min() >= 0 and uniform.max() < 1


def test_no_rows_is_no_fault():
    assert normal_rows(np.zeros(0, np.uint32), 3, 1).shape == (0, 3)


def test_a_generator_starts_afresh_every_time():
    assert generator(5, 1).integers(2**63) == generator(5, 1).integers(2**63)
