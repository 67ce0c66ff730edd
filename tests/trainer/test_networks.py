import numpy as np
import pytest
import torch

from trainer.networks import Networks


def networks(seed=0, **kwargs):
    return Networks(3, (5, 7, 2), "silu", torch.Generator().manual_seed(seed), **kwargs)


def test_batched_networks_equal_one_network_at_a_time():
    nets = networks()
    inputs = torch.randn(3, 4, 5)
    together = nets(inputs).detach().numpy()
    for agent in range(3):
        (w0, b0), (w1, b1) = ((w.numpy().astype(float), b.numpy()) for w, b in nets.member(agent))
        hidden = inputs[agent].numpy() @ w0 + b0
        alone = (hidden / (1 + np.exp(-hidden))) @ w1 + b1
        np.testing.assert_allclose(together[agent], alone, atol=1e-6)


def test_weights_are_glorot_uniform():
    nets = Networks(2, (300, 200, 1), "relu", torch.Generator().manual_seed(1), last_gain=0.1)
    bound = np.sqrt(6 / 500)
    first = nets.weights[0].detach().numpy()
    assert np.abs(first).max() <= bound
    np.testing.assert_allclose(first.std(), bound / np.sqrt(3), rtol=0.01)
    assert np.abs(nets.weights[1].detach().numpy()).max() <= 0.1 * np.sqrt(6 / 201)
    assert not any(bias.any() for bias in nets.biases)


def test_follow_is_a_polyak_average():
    leader, follower = networks(0), networks(1).copy()
    before = [p.clone() for p in follower.parameters]
    follower.follow(leader, 0.25)
    for start, now, goal in zip(before, follower.parameters, leader.parameters, strict=True):
        torch.testing.assert_close(now, 0.75 * start + 0.25 * goal.detach())


def test_state_goes_round_and_misfits_are_refused():
    one, other = networks(0), networks(1)
    other.load_state_dict(one.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters, other.parameters, strict=True))
    wide = Networks(3, (6, 7, 2), "silu", torch.Generator())
    with pytest.raises(ValueError, match=r"expected shape \[3, 6, 7\], got \[3, 5, 7\]"):
        wide.load_state_dict(one.state_dict())
    with pytest.raises(ValueError, match="expected 6 parameters, got 4"):
        Networks(3, (5, 7, 7, 2), "silu", torch.Generator()).load_state_dict(one.state_dict())


def test_batches_that_share_a_network_go_through_it():
    shared = sharing([0, 1, 0])
    inputs = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    outputs = shared(inputs)
    for batch, network in enumerate([0, 1, 0]):
        alone = torch.stack([inputs[batch]] * 2)
        torch.testing.assert_close(outputs[batch], twin_of(shared)(alone)[network])
    outputs.sum().backward()
    assert shared.weights[0].grad.abs().sum(dim=(1, 2)).gt(0).all()


def test_one_network_for_all_is_one_product():
    single = Networks(1, (4, 3, 2), "tanh", torch.Generator().manual_seed(0), members=[0, 0, 0])
    inputs = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(single(inputs)[2], single(inputs[[2, 2, 2]])[0])
    assert [w.shape for w, _ in single.member(2)] == [(4, 3), (3, 2)]


def sharing(members=None):
    return Networks(2, (4, 3, 2), "tanh", torch.Generator().manual_seed(0), members=members)


def twin_of(shared):
    own = sharing()
    own.load_state_dict(shared.state_dict())
    return own


@pytest.mark.parametrize("width", [1, 5, 15, 16])
def test_narrow_layers_have_the_gradients_of_wide_ones(width):
    draws = torch.Generator().manual_seed(3)
    narrow = Networks(2, (4, 3, width), "tanh", draws)
    inputs = torch.randn(2, 6, 4, generator=draws, requires_grad=True)
    wanted = torch.randn(2, 6, width, generator=draws)

    def plainly():
        first, last = zip(narrow.weights, narrow.biases, strict=True)
        return torch.tanh(inputs @ first[0] + first[1]) @ last[0] + last[1]

    torch.testing.assert_close(narrow(inputs), plainly())
    sought = [inputs, *narrow.parameters]
    found = torch.autograd.grad((narrow(inputs) * wanted).sum(), sought)
    expected = torch.autograd.grad((plainly() * wanted).sum(), sought)
    torch.testing.assert_close(found, expected)
