"""What learned market makers earn, held against scripted ones in the same seat on the same episodes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Final

from scipy import stats

from analysis.market.making import Making, best_return, continuous_return
from deploy.experiment import Experiment
from experiments.playing import Table
from experiments.running import FINAL_EPISODES, came_from, load_experiment
from experiments.stored import RESULTS, Matches, Played, fingerprint, read_matches, write
from trainer.settings import EvaluationGame

GROUP, LIMIT = "market", "limit"
LEARNED: Final = ("maker_idqn", "maker_maddpg", "maker_mappo", "maker_ippo")
SEAT: Final = "maker_0"
SCRIPT: Final = "market:maker limit=50"
"""The scripted maker with its own settings; ``limit`` tells it the seat's position limit."""
SETTINGS: Final = tuple(f"{SCRIPT} half_spread={half} skew={skew}" for half in (3, 6, 9, 12) for skew in (0.02, 0.2))
SCRIPTED: Final = "scripted_makers"
"""Name of the stored matches."""
COMMAND: Final = f"python -m experiments {GROUP}"


def play_scripted(*, again: bool) -> Matches:
    """Let scripted makers play in the learned ones' seat; what is kept of the same makers and game is returned."""
    experiment = load_experiment(GROUP, LEARNED[-1], 0)
    kept, configuration = read_matches(SCRIPTED), fingerprint(experiment)
    makers = [SCRIPT, *SETTINGS, "scripted:random"]
    played_by = [match.players[SEAT] for match in kept.matches] if kept else []
    if kept and (kept.configuration, played_by) == (configuration, makers) and not again:
        return kept
    began, game = time.monotonic(), judged(experiment)
    with Table() as table:
        played = []
        for policy in makers:
            print(f"{game.name}: {policy}", flush=True)
            played.append(table.play(game.name, game.config, {SEAT: policy}, FINAL_EPISODES))
    provenance = came_from(COMMAND, began)
    matches = Matches(title="Scripted makers", configuration=configuration, provenance=provenance, matches=played)
    write(RESULTS / f"{SCRIPTED}.json", matches)
    return matches


def judged(experiment: Experiment) -> EvaluationGame:
    """The game on which a learned maker's profit is told.

    Raises:
        ValueError: the experiment names none.
    """
    game = experiment.training.evaluation.environment
    if game is None:
        raise ValueError("training.evaluation.environment: expected a game without the inventory penalty, got none")
    return game


def scripted_profit(matches: Matches) -> float:
    """What the scripted maker earns with its own settings."""
    return next(match.mean for match in matches.matches if match.players[SEAT] == SCRIPT)


def best_scripted_profit(matches: Matches) -> float:
    """What the best of the scripted makers earns, chosen on the very episodes that it is judged on."""
    return max(match.mean for match in matches.matches)


def lower_end(values: Sequence[float]) -> float:
    """The lower end of Student's 95 % interval of a mean."""
    error = statistics.stdev(values) / len(values) ** 0.5
    return float(statistics.fmean(values) - stats.t.ppf(0.975, len(values) - 1) * error)


def share_of_best(played: Played) -> float:
    """A maker's return among Poisson takers, as a share of the largest that is possible in whole ticks and steps."""
    return played.mean / best_return(Making.of(played.config))


def share_of_closed_form(played: Played) -> float:
    """The same, of the largest where prices and time are continuous, which no choices of the game reach."""
    return played.mean / continuous_return(Making.of(played.config))
