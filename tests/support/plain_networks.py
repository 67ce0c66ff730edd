"""Perceptrons the plain way, in doubles: one network at a time, each layer a product."""

import torch

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "silu": torch.nn.functional.silu}


def parameters_of(state):
    """Layers [(weights (N, in, out), biases (N, 1, out))] of what ``Networks.state_dict`` gave, in doubles."""
    values = [state[str(number)].double() for number in range(len(state))]
    half = len(values) // 2
    return list(zip(values[:half], values[half:], strict=True))


def learnable(layers):
    for pair in layers:
        for parameter in pair:
            parameter.requires_grad_()
    return layers


def flat(layers):
    return [parameter for pair in layers for parameter in pair]


def forward(layers, network, inputs, activation):
    """Outputs (B, out) of one of the networks."""
    for number, (weight, bias) in enumerate(layers):
        inputs = inputs @ weight[network] + bias[network]
        inputs = ACTIVATIONS[activation](inputs) if number < len(layers) - 1 else inputs
    return inputs


def follow(followers, leaders, rate):
    with torch.no_grad():
        for follower, leader in zip(flat(followers), flat(leaders), strict=True):
            follower.copy_((1 - rate) * follower + rate * leader)


class PlainAdam:
    """Kingma and Ba 2015, algorithm 1. PyTorch's own takes seconds to import what it needs."""

    def __init__(self, parameters):
        self.parameters, self.steps = parameters, 0
        self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]

    def step(self, loss, rate):
        self.steps += 1
        gradients = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            for parameter, (first, second), gradient in zip(self.parameters, self.moments, gradients, strict=True):
                first.copy_(0.9 * first + 0.1 * gradient)
                second.copy_(0.999 * second + 0.001 * gradient**2)
                mean, square = first / (1 - 0.9**self.steps), second / (1 - 0.999**self.steps)
                parameter.sub_(rate * mean / (square.sqrt() + 1e-8))


def shaken(state, names, seed=7):
    """A learner's state with parameters of its own in each of the named networks, so that no two are alike."""
    draws = torch.Generator().manual_seed(seed)
    return state | {
        name: {key: 0.6 * torch.randn(value.shape, generator=draws) for key, value in state[name].items()}
        for name in names
    }


def close(layers, state, name):
    for number, (found, expected) in enumerate(zip(parameters_of(state), layers, strict=True)):
        for ours, plain in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, plain.detach(), atol=2e-4, rtol=1e-3, msg=f"{name}, layer {number}")
