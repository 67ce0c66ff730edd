"""MAPPO and IPPO the plain way: one agent, one episode and one equation at a time (Yu et al. 2021, algorithm 1)."""

import math

import numpy as np
import torch

from tests.support.plain_networks import PlainAdam, flat, forward, learnable, parameters_of

LOG_ROOT = 0.5 * math.log(2 * math.pi)


class CutAdam(PlainAdam):
    """The gradient of each network is cut to a length first (Pascanu et al. 2013)."""

    def __init__(self, parameters, longest):
        super().__init__(parameters)
        self.longest = longest

    def step(self, loss, rate):
        """Adam reads gradients off a loss: here one that is linear in the parameters."""
        gradients = torch.autograd.grad(loss, self.parameters)
        linear = 0.0
        for network in range(len(gradients[0])):
            length = math.sqrt(sum(float((gradient[network] ** 2).sum()) for gradient in gradients))
            factor = min(1.0, self.longest / length) if length else 1.0
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                linear = linear + factor * (parameter[network] * gradient[network]).sum()
        super().step(linear, rate)


class PlainPpo:
    """Goes on from a learner's state; ``update`` takes what was played since.

    Args:
        state: of a learner.
        config: its settings.
        game: all boxes, or one choice for each agent.
        members: of each agent, the number of its network.
        central: whether one critic sees the state, or one per network what its agents see.
    """

    def __init__(self, state, config, game, members, *, central):
        self.config, self.game, self.members, self.central = config, game, members, central
        self.actor, self.critic = learnable(parameters_of(state["actor"])), learnable(parameters_of(state["critic"]))
        self.spread = [value.double().requires_grad_() for value in state["spread"].values()]
        self.acting = CutAdam([*flat(self.actor), *self.spread], config.max_norm)
        self.judging = CutAdam(flat(self.critic), config.max_norm)
        self.draws = torch.Generator()
        self.draws.set_state(state["draws"])
        self.batches = [[] for _ in range(game.size)]  # of returns, for their statistics

    def update(self, played, pace):
        """Means of the losses by name, and of the policies' entropy."""
        rows = [[row for part in played for row in self._rows(part, i)] for i in range(self.game.size)]
        for i, mine in enumerate(rows):
            self._normalise(i, [row for row in mine if row["acted"]])
        losses = []
        for _ in range(self.config.epochs):
            for chosen in torch.randperm(len(rows[0]), generator=self.draws).chunk(self.config.minibatches):
                losses.append(self._learn([[mine[number] for number in chosen] for mine in rows], pace))
        return dict(zip(("actor", "critic", "entropy"), np.mean(losses, axis=0), strict=True))

    def _rows(self, part, i):
        """The decisions of an agent, copy by copy within each step, and the rows between them."""
        steps, copies, _ = part.rewards.shape
        with torch.no_grad():
            values = [[self._value(i, self._view(part, t, b, i)) for b in range(copies)] for t in range(steps + 1)]
        mean, std = self._statistics(i)
        rows = {}
        for b in range(copies):
            worth = [mean + std * float(values[t][b]) for t in range(steps + 1)]
            for t, advantage in self._advantages(part, i, b, worth).items():
                rows[t, b] = {"advantage": advantage, "target": worth[t] + advantage, "acted": True}
        for t in range(steps):
            for b in range(copies):
                row = rows.setdefault((t, b), {"acted": False})
                row["seen"] = torch.from_numpy(part.observations[t, b, i]).double()
                row["view"], row["value"] = self._view(part, t, b, i), float(values[t][b])
                row["action"] = torch.from_numpy(part.actions[t, b, i]).double()
                row["legal"] = None if part.legal is None else torch.from_numpy(part.legal[t, b, i])
                with torch.no_grad():
                    row["old"] = float(self._log_prob(i, row)[0])
        return [rows[t, b] for t in range(steps) for b in range(copies)]

    def _view(self, part, t, b, i):
        return torch.from_numpy(part.state[t, b] if self.central else part.observations[t, b, i]).double()

    def _value(self, i, view):
        network = 0 if self.central else self.members[i]
        return forward(self.critic, network, view[None], self.config.activation)[0, i if self.central else 0]

    def _advantages(self, part, i, b, worth):
        """By the step of each decision: what came until the next one, and λ times that one's surprise."""
        gamma, found, later = self.config.discount, {}, None  # later: the step of the next decision
        for t in reversed(range(len(part.rewards))):
            if not part.acted[t, b, i]:
                continue
            gain, factor, end = 0.0, 1.0, t
            while True:
                gain += factor * float(part.rewards[end, b, i])
                factor *= gamma
                over = part.terminated[end, b, i] or part.truncated[end, b, i]
                if over or end + 1 == len(part.rewards) or end + 1 == later:
                    break
                end += 1
            outlook = 0.0 if part.terminated[end, b, i] else factor * worth[end + 1]
            found[t] = gain + outlook - worth[t]
            if not over and end + 1 == later:
                found[t] += factor * self.config.gae_lambda * found[later]
            later = t
        return found

    def _statistics(self, i):
        """Mean and deviation of all returns, where each batch counts alike but for its age."""
        if not self.batches[i]:
            return 0.0, 1.0
        ages = self.config.return_memory ** np.arange(len(self.batches[i]))[::-1]
        weights = np.concatenate(
            [np.full(len(one), age / len(one)) for one, age in zip(self.batches[i], ages, strict=True)]
        )
        everything = np.concatenate(self.batches[i])
        mean = np.average(everything, weights=weights)
        return mean, math.sqrt(np.average((everything - mean) ** 2, weights=weights))

    def _normalise(self, i, decided):
        self.batches[i].append(np.array([row["target"] for row in decided]))
        mean, std = self._statistics(i)
        advantages = np.array([row["advantage"] for row in decided])
        for row in decided:
            row["target"] = (row["target"] - mean) / std
            row["advantage"] = (row["advantage"] - advantages.mean()) / (advantages.std() + 1e-5)

    def _learn(self, rows, pace):
        actor, critic = self._losses(rows)
        weights = [1 / self.members.count(member) for member in self.members]
        loss = sum(w * (a - self.config.entropy * e) for w, (a, e) in zip(weights, actor, strict=True))
        self.acting.step(loss, pace * self.config.actor_rate)
        self.judging.step(sum(w * c for w, c in zip(weights, critic, strict=True)), pace * self.config.critic_rate)
        gains, spreads = zip(*actor, strict=True)
        return [float(sum(part).detach()) / len(rows) for part in (gains, critic, spreads)]

    def _losses(self, rows):
        actor, critic, config = [], [], self.config
        for i, mine in enumerate(rows):
            decided = [row for row in mine if row["acted"]]
            gain, spread, error = 0.0, 0.0, 0.0
            for row in decided:
                log_prob, entropy = self._log_prob(i, row)
                ratio = torch.exp(log_prob - row["old"])
                clipped = torch.clip(ratio, 1 - config.clip, 1 + config.clip)
                gain = gain + torch.minimum(ratio * row["advantage"], clipped * row["advantage"])
                spread = spread + entropy
                value = self._value(i, row["view"])
                near = row["value"] + torch.clip(value - row["value"], -config.value_clip, config.value_clip)
                error = error + max(self._huber(value - row["target"]), self._huber(near - row["target"]))
            actor.append((-gain / len(decided), spread / len(decided)))
            critic.append(error / len(decided))
        return actor, critic

    def _huber(self, error):
        delta = self.config.huber
        return 0.5 * error**2 if abs(error) <= delta else delta * (abs(error) - 0.5 * delta)

    def _log_prob(self, i, row):
        outputs = forward(self.actor, self.members[i], row["seen"][None], self.config.activation)[0]
        width = self.game.action_widths[i]
        if self.game.discrete:
            possible = row["legal"][:width] if row["legal"] is not None else torch.ones(width, dtype=torch.bool)
            log_probs = torch.log_softmax(outputs[:width][possible], dim=0)
            chosen = row["action"][:width][possible].argmax()
            return log_probs[chosen], -(log_probs.exp() * log_probs).sum()
        log_prob, entropy = 0.0, 0.0
        for k in range(width):
            low, high, x = float(self.game.low[i, k]), float(self.game.high[i, k]), float(row["action"][k])
            mean = low + (high - low) * torch.sigmoid(outputs[k])
            log_std = self.spread[0][self.members[i], 0, k] + math.log(high - low)
            log_prob = log_prob + _clipped_normal(x, mean, log_std, low, high)
            entropy = entropy + 0.5 + LOG_ROOT + log_std
        return log_prob, entropy


def _clipped_normal(x, mean, log_std, low, high):
    std = log_std.exp()
    if low < x < high:
        return -0.5 * ((x - mean) / std) ** 2 - log_std - LOG_ROOT
    return torch.log(torch.special.ndtr((low - mean) / std if x <= low else (mean - high) / std))
