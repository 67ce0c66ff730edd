from itertools import product

import torch
from torch.autograd import gradcheck

from trainer.algorithms.losses.q_learning import (
    additive_value,
    chosen_value,
    double_q_value,
    monotonic_value,
    td_loss,
)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixing(batch, agents, width, seed=0):
    """Weights and biases of a mixing network: w_1, b_1, w_2, b_2."""
    shapes = ((batch, agents, width), (batch, width), (batch, width), (batch,))
    return [drawn(*shape, seed=seed + number) for number, shape in enumerate(shapes)]


def test_chosen_value_by_hand():
    q = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]])
    actions = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    assert chosen_value(q, actions).tolist() == [[3.0, 5.0]]


def test_one_network_chooses_and_the_other_evaluates():
    q_next = torch.tensor([[[1.0, 5.0, 2.0], [1.0, -1e9, 2.0]]])
    q_next_target = torch.tensor([[[10.0, 20.0, 30.0], [40.0, 60.0, 50.0]]])
    assert double_q_value(q_next, q_next_target).tolist() == [[20.0, 50.0]]


def test_td_loss_by_hand():
    """Huber: e²/2 up to δ, δ(|e| - δ/2) beyond; the second row is what is left of rows that count half and not."""
    q = torch.tensor([[0.5, -3.0], [1.0, 9.0], [7.0, 7.0]])
    y = torch.zeros(3, 2)
    weights = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    assert td_loss(q, y, weights, 1.0).tolist() == [(0.125 + 2.5) / 2, 0.5, 0.0]
    assert td_loss(q, y, weights, 2.0).tolist() == [(0.125 + 4.0) / 2, 0.5, 0.0]


def test_targets_take_no_gradient():
    q, y = torch.tensor([[0.5, -3.0]], requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    td_loss(q, y, torch.ones(1, 2), 1.0).sum().backward()
    assert q.grad.tolist() == [[0.25, -0.5]]  # half of e, and of the sign beyond δ
    assert y.grad is None


def test_additive_value_is_the_sum():
    assert additive_value(torch.tensor([[1.0, 2.0], [10.0, -5.0], [0.5, 0.0]])).tolist() == [[11.5, -3.0]]


def test_monotonic_value_by_hand():
    """Hidden units elu(2·1 + 1·3 - 1) = 4 and elu(-5·0 - ln 2) = -1/2; then 3·4 + 2·(-1/2) + 0.25."""
    q = torch.tensor([[1.0], [3.0]])
    w_1 = torch.tensor([[[-2.0, 0.0], [1.0, 0.0]]])
    b_1 = torch.tensor([[-1.0, -0.6931471805599453]])
    value = monotonic_value(q, w_1, b_1, torch.tensor([[3.0, -2.0]]), torch.tensor([0.25]))
    torch.testing.assert_close(value, torch.tensor([[11.25]]))


def test_no_agent_s_value_can_lower_the_team_s():
    q = drawn(3, 200)
    weights = mixing(200, 3, 4)
    for agent in range(3):
        raised = q.clone()
        raised[agent] += 0.3
        assert (monotonic_value(raised, *weights) > monotonic_value(q, *weights)).all()


def test_the_agents_own_best_choices_are_the_team_s():
    """What the greedy step relies on (Rashid et al., section 4): argmax of Q_tot is the tuple of agents' argmaxes."""
    tables, weights = drawn(3, 4), mixing(1, 3, 8)
    joint = list(product(range(4), repeat=3))
    totals = torch.cat([monotonic_value(tables[range(3), choice][:, None], *weights) for choice in joint])
    assert joint[int(totals.argmax())] == tuple(tables.argmax(dim=1).tolist())


def test_gradients_are_the_numeric_ones():
    q = drawn(3, 5, seed=1).requires_grad_()
    y, weights = drawn(3, 5, seed=2), torch.ones(3, 5, dtype=torch.float64)
    mixed = [part.requires_grad_() for part in mixing(5, 3, 4, seed=3)]
    assert gradcheck(lambda q: td_loss(q, y, weights, 0.7), (q,))
    assert gradcheck(additive_value, (q,))
    assert gradcheck(monotonic_value, (q, *mixed))
    assert gradcheck(lambda q: double_q_value(y[..., None].expand(3, 5, 2), q), (drawn(3, 5, 2).requires_grad_(),))
