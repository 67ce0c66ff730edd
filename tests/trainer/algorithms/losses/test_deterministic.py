import torch

from trainer.algorithms.losses.deterministic import critic_loss, logit_excess, policy_loss, target_value


def test_target_value_by_hand():
    y = target_value(torch.tensor([[1.0, 2.0]]), 0.9, torch.tensor([[1.0, 0.0]]), torch.tensor([[10.0, 10.0]]))
    torch.testing.assert_close(y, torch.tensor([[10.0, 2.0]]))


def test_critic_loss_by_hand_and_targets_take_no_gradient():
    q = torch.tensor([[1.0, 3.0], [0.0, 0.0]], requires_grad=True)
    y = torch.tensor([[0.0, 1.0], [2.0, 4.0]], requires_grad=True)
    loss = critic_loss(q, y)
    assert loss.tolist() == [2.5, 10.0]
    loss.sum().backward()
    assert q.grad.tolist() == [[1.0, 2.0], [-2.0, -4.0]]
    assert y.grad is None


def test_policy_loss_is_the_negative_mean_value():
    assert policy_loss(torch.tensor([[1.0, 2.0], [-3.0, 5.0]])).tolist() == [-1.5, -1.0]


def test_logit_excess_by_hand():
    logits = torch.tensor([[[5.0, -7.0]], [[1.0, -2.0]]])
    assert logit_excess(logits, 4.0).tolist() == [(1.0 + 9.0) / 2, 0.0]
