"""MADDPG, MATD3 and IDDPG the plain way: one agent, one critic and one equation at a time (Lowe et al.'s 5 and 6)."""

import torch

from tests.support.plain_networks import PlainAdam, flat, follow, forward, learnable, parameters_of


class PlainDdpg:
    """Goes on from a learner's state; ``update`` takes one step on a batch.

    Args:
        state: of a learner.
        config: its settings.
        game: all boxes, or one choice for each agent.
        members: of each agent, the number of its network.
        twins, delay, joint: what the algorithms differ in.
    """

    def __init__(self, state, config, game, members, *, twins=1, delay=1, joint=True):
        self.config, self.game, self.members, self.delay, self.joint = config, game, members, delay, joint
        self.actor, self.target_actor = learnable(parameters_of(state["actor"])), parameters_of(state["target_actor"])
        self.critics = [learnable(parameters_of(state[f"critic_{k}"])) for k in range(twins)]
        self.targets = [parameters_of(state[f"target_critic_{k}"]) for k in range(twins)]
        self.low, self.high = torch.from_numpy(game.low).double(), torch.from_numpy(game.high).double()
        self.acting, self.judging = PlainAdam(flat(self.actor)), PlainAdam([p for c in self.critics for p in flat(c)])
        self.updates, self.agents = 0, range(game.size)

    def update(self, batch, draws, pace=1.0):
        """Losses by name."""
        self.updates += 1
        loss = self._critic_loss(batch, draws)
        self.judging.step(loss, pace * self.config.critic_rate)
        losses = {"critic": float(loss.detach())}
        if self.updates % self.delay == 0:
            loss, excess = self._actor_loss(batch, draws)
            self.acting.step(loss + excess, pace * self.config.actor_rate)
            losses["actor"] = float(loss.detach())
            follow(self.target_actor, self.actor, self.config.averaging)
            for target, critic in zip(self.targets, self.critics, strict=True):
                follow(target, critic, self.config.averaging)
        return losses

    def _critic_loss(self, batch, draws):
        config, seen = self.config, batch["next_observations"]
        with torch.no_grad():
            then = torch.stack([self._target_action(i, batch) for i in self.agents], dim=1)
            if hasattr(config, "target_noise") and not self.game.discrete:
                noise = config.target_noise * torch.randn(then.shape, generator=draws).double()
                width = self.high - self.low
                then = then + width * torch.clip(noise, -config.target_clip, config.target_clip)
                then = torch.minimum(torch.maximum(then, self.low), self.high)
        total = 0.0
        for i in self.agents:
            with torch.no_grad():
                values = [self._value(target, i, seen, then, batch["next_state"]) for target in self.targets]
                least = torch.stack(values).min(dim=0).values
                y = config.reward_scale * batch["rewards"][:, i] + config.discount * batch["continues"][:, i] * least
            for critic in self.critics:
                error = self._value(critic, i, batch["observations"], batch["actions"], batch["state"]) - y
                total = total + (batch["acted"][:, i] * error**2).sum() / len(error)
        return total

    def _actor_loss(self, batch, draws):
        gumbel = [None] * self.game.size
        if self.game.discrete:
            shape = (self.game.size, len(batch["rewards"]), self.game.action_width)
            gumbel = -torch.log(-torch.log(torch.rand(shape, generator=draws).double()))
        total, excess = 0.0, 0.0
        for i in self.agents:
            logits = forward(self.actor, self.members[i], batch["observations"][:, i], self.config.activation)
            actions = batch["actions"].clone()
            actions[:, i] = self._own(i, logits, batch["legal"][:, i], gumbel[i])
            q = self._value(self.critics[0], i, batch["observations"], actions, batch["state"])
            total = total - (batch["acted"][:, i] * q).sum() / len(q)
            beyond = torch.clip(logits.abs() - self.config.logit_limit, min=0.0)
            excess = excess + self.config.logit_penalty * (beyond**2).mean()
        return total, excess

    def _target_action(self, i, batch):
        logits = forward(self.target_actor, self.members[i], batch["next_observations"][:, i], self.config.activation)
        if not self.game.discrete:
            return self._squashed(i, logits)
        best = logits.masked_fill(batch["next_legal"][:, i] == 0, -torch.inf).argmax(dim=1)
        return torch.eye(logits.shape[1], dtype=torch.float64)[best]

    def _own(self, i, logits, legal, gumbel):
        if not self.game.discrete:
            return self._squashed(i, logits)
        noisy = logits.masked_fill(legal == 0, -torch.inf) + gumbel
        soft = (noisy / self.config.relaxation).softmax(dim=1)
        return torch.eye(logits.shape[1], dtype=torch.float64)[noisy.argmax(dim=1)] + soft - soft.detach()

    def _squashed(self, i, logits):
        return self.low[i] + (self.high[i] - self.low[i]) / (1 + torch.exp(-logits))

    def _value(self, critic, i, seen, done, state):
        if not self.joint:
            inputs = torch.cat([seen[:, i], done[:, i]], dim=1)
        else:
            order = self._order(i)
            inputs = torch.cat([seen[:, order].flatten(1), done[:, order].flatten(1), state], dim=1)
        return forward(critic, self.members[i], inputs, self.config.activation)[:, 0]

    def _order(self, i):
        """Itself, then round the table those it shares with, then the others; all in one order where nobody shares."""
        if len(set(self.members)) == self.game.size:
            return list(self.agents)
        round_ = [(i + k) % self.game.size for k in self.agents]
        likes = [j for j in round_[1:] if self.members[j] == self.members[i]]
        return [i, *likes, *(j for j in round_[1:] if j not in likes)]
