"""IDQN, VDN and QMIX the plain way: one row and one agent at a time, in doubles."""

import torch

from tests.support.plain_networks import PlainAdam, flat, follow, forward, learnable, parameters_of


class PlainValues:
    """Goes on from a learner's state; ``update`` takes one step on a batch.

    Args:
        state: of a learner.
        config: its settings.
        game: one choice for each agent.
        members: of each agent, the number of its network.
        kind: "idqn", "vdn" or "qmix".
    """

    def __init__(self, state, config, game, members, kind):
        self.config, self.game, self.members, self.kind = config, game, members, kind
        count = 3 if kind == "qmix" else 1
        self.networks = [learnable(parameters_of(state[f"networks_{k}"])) for k in range(count)]
        self.targets = [parameters_of(state[f"target_{k}"]) for k in range(count)]
        self.adam = PlainAdam([p for networks in self.networks for p in flat(networks)])

    def update(self, batch, pace=1.0):
        """Losses by name."""
        errors, weights = [], []
        for row in range(len(batch["rewards"])):
            now, y, weight = self._row({name: value[row] for name, value in batch.items()})
            errors.append([self._huber(q - t) for q, t in zip(now, y, strict=True)])
            weights.append(weight)
        loss = 0.0
        for column in range(len(weights[0])):
            total = sum(error[column] * weight[column] for error, weight in zip(errors, weights, strict=True))
            loss = loss + total / max(1.0, sum(weight[column] for weight in weights))
        self.adam.step(loss, pace * self.config.rate)
        for target, networks in zip(self.targets, self.networks, strict=True):
            follow(target, networks, self.config.averaging)
        return {"value": float(loss.detach())}

    def _row(self, row):
        """What is valued now, what it should be, and what that weighs: once for a team, or for each agent."""
        agents = range(self.game.size)
        acts = [bool(row["acted"][i]) for i in agents]
        stays = [acts[i] and bool(row["continues"][i]) for i in agents]
        now = [self._all(self.networks, i, row["observations"])[row["actions"][i].argmax()] for i in agents]
        with torch.no_grad():
            then = []
            for i in agents:
                legal = [a for a in range(self.game.action_widths[i]) if row["next_legal"][i, a]]
                likes = self._all(self.networks, i, row["next_observations"])
                best = max(legal, key=lambda a, likes=likes: float(likes[a]))
                then.append(self._all(self.targets, i, row["next_observations"])[best])
        r, gamma = self.config.reward_scale * row["rewards"], self.config.discount
        if self.kind == "idqn":
            y = [r[i] + gamma * (then[i] if stays[i] else 0.0) for i in agents]
            return now, y, [float(act) for act in acts]
        with torch.no_grad():
            later = self._mixed(self.targets, [then[i] if stays[i] else 0.0 for i in agents], row["next_state"])
        y = r.sum() + (gamma * later if any(stays) else 0.0)
        taken = self._mixed(self.networks, [now[i] if acts[i] else 0.0 for i in agents], row["state"])
        return [taken], [y], [float(any(acts))]

    def _all(self, networks, i, seen):
        return forward(networks[0], self.members[i], seen[i][None], self.config.activation)[0]

    def _mixed(self, networks, q, state):
        """The sum, or its weights' departures by a tenth of what the state's linear network says."""
        if self.kind == "vdn":
            return sum(q)
        n, width, scale = len(q), self.config.mixing_width, self.config.mixing_scale
        said = forward(networks[1], 0, state[None], "relu")[0] * 0.1
        hidden = []
        for e in range(width):
            pulled = sum(q[i] * abs((1 + said[i * width + e]) / scale) for i in range(n)) + said[n * width + e]
            hidden.append(pulled if pulled > 0 else torch.exp(pulled) - 1)
        last = [abs((1 + said[(n + 1) * width + e]) * scale / width) for e in range(width)]
        total = sum(h * w for h, w in zip(hidden, last, strict=True))
        return total + forward(networks[2], 0, state[None], "relu")[0, 0]

    def _huber(self, error):
        limit = self.config.huber
        return error**2 / 2 if abs(error) <= limit else limit * (abs(error) - limit / 2)
