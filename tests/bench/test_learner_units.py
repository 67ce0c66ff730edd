"""The fast half of ``python -m bench learner_units``: losses and gradients against a second way to work them out."""

import importlib
import inspect
import math
import pkgutil
from pathlib import Path

import numpy as np
import pytest
import torch

import bench.units
from bench.learner_units import arrays
from bench.units.comparing import errors
from bench.units.gradients import gradient_errors
from trainer.algorithms import losses


def test_all_losses_and_gradients_hold():
    rows = arrays(3)
    assert len(rows) > 30
    assert [row.name for row in rows if not row.holds] == []


def test_no_loss_is_left_out():
    folder = Path(bench.units.__file__).parent
    compared = "".join(path.read_text() for path in folder.glob("*.py"))
    for info in pkgutil.iter_modules(losses.__path__):
        module = importlib.import_module(f"{losses.__name__}.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__:
                assert f"{info.name}.{name}(" in compared, f"{info.name}.{name} is compared with nothing"


def test_a_wrong_figure_shows():
    ones = np.ones(3)
    assert errors(lambda draws: (torch.from_numpy(ones), ones + 1e-3), 2) == pytest.approx([1e-3] * 2)
    assert errors(lambda draws: (torch.from_numpy(ones), ones[:2]), 1) == [math.inf]


def test_a_wrong_gradient_shows():
    def severed(draws):
        return lambda x: (x * x.detach()).sum(), [torch.ones(2, dtype=torch.float64)]

    assert gradient_errors(severed, 1) == pytest.approx([0.5])
