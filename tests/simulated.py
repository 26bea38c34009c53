"""Fields of candidates whose true costs are known, raced by the code that races real ones.

A round's log cost is the candidate's own, what all have in common that round, and noise of its own: normal,
heavy-tailed (Student's t with three degrees of freedom), wandering slowly from round to round, or six times as large
for some as for the others. A screen has half as much noise again, or as much as is asked for where it is one short
block on a restless machine, whose CPU time is then no better; and what its group of three had in common. Seconds are
those of a run without a budget, with blocks of four seconds.
"""

import math
from dataclasses import dataclass

import numpy as np

from bakeoff.decide.compare import Field
from bakeoff.decide.court import ERROR_AT_THE_END, ERROR_OF_AN_EARLY_LOOK
from bakeoff.decide.gates import BLOCKS_A_ROUND, FEWEST_ROUNDS, MOST_ROUNDS
from bakeoff.decide.race import Runner, narrow
from bakeoff.decide.verdict import named

KINDS = ("spread", "near", "tie", "infeasible", "heavy", "drift", "uneven")
GROUP, SHARED_NOISE = 3, 0.03
START_S, BLOCK_S = 1.5, 4.0


@dataclass(frozen=True)
class Ended:
    """How a race ended: the verdict, who was chosen or led, who may be the best, what was spent, the true regret, and
    the bound on it that was claimed."""

    verdict: str
    choice: int | None
    equals: tuple[int, ...]
    seconds: float
    regret: float
    claimed: float


class Candidates:
    """`true` log costs, the best of them 0; which of them miss a gate; and how noisy a round is."""

    def __init__(self, seed, kind=None, count=None, noise=None, screen_noise=None):
        self.dice = np.random.default_rng(seed)
        self.kind = kind or KINDS[seed % len(KINDS)]
        count = count or int(self.dice.integers(8, 41))
        true = np.sort(self.dice.uniform(0.0, 1.2, count))
        near = {"near": [0.0, self.dice.uniform(0.0, 0.03)], "tie": [0.0, 0.0, 0.0]}.get(self.kind, [0.0])
        near = near[:count]
        true[: len(near)] = near
        self.true = true
        self.noise = noise or float(self.dice.uniform(0.005, 0.03))
        self.screen_noise = screen_noise
        self.fails = np.full(count, True) if self.kind == "infeasible" else self.dice.random(count) < 0.15
        if self.kind != "infeasible":
            self.fails[: len(near)] = False
        self.wandering = np.zeros(count)
        self.restless = np.where(self.dice.random(count) < 0.2, 3.0, 0.5)

    @property
    def best(self):
        """The places of those than which none that passes its gates is cheaper."""
        able = np.flatnonzero(~self.fails)
        return {int(i) for i in able if self.true[i] == self.true[able].min()}

    def screens(self):
        """Each candidate's screen."""
        groups = np.repeat(self.dice.normal(0.0, SHARED_NOISE, len(self.true) // GROUP + 1), GROUP)
        own = self.dice.normal(0.0, self.screen_noise or 1.5 * self.noise, len(self.true))
        return np.exp(self.true + groups[: len(self.true)] + own)

    def cpu_ms(self):
        """CPU time of a request, which is steadier; None where it is not."""
        if self.screen_noise:
            return [None] * len(self.true)
        return np.exp(self.true + self.dice.normal(0.0, self.noise / 2, len(self.true))).tolist()

    def play(self):
        """A round, of all."""
        count = len(self.true)
        if self.kind == "heavy":
            own = self.noise * self.dice.standard_t(3, count) / np.sqrt(3.0)
        elif self.kind == "drift":
            self.wandering = 0.7 * self.wandering + self.dice.normal(0.0, 0.7 * self.noise, count)
            own = self.wandering
        else:
            own = self.dice.normal(0.0, self.noise, count) * (self.restless if self.kind == "uneven" else 1.0)
        return np.exp(self.true + self.dice.normal(0.0, SHARED_NOISE) + own)


def race(field, matters=0.02, exhaustive=False):
    """One race to its end, without a budget."""
    screens, cpu_ms, rounds = field.screens(), field.cpu_ms(), {i: {} for i in range(len(field.true))}
    seconds = len(field.true) * (START_S + BLOCK_S)
    alive = [i for i in range(len(field.true)) if not field.fails[i]]
    ended = ("INFEASIBLE", None, (), 0.0) if not alive else ("INSUFFICIENT", None, tuple(alive), math.inf)
    dropped, returned = {}, set()

    def runner(i):
        return Runner(f"{i}", float(screens[i]), rounds[i], cpu_ms[i])

    for number in range(1, MOST_ROUNDS + 1):
        playing, looking = alive, not exhaustive
        while looking:
            losers = [(runner(i), other) for i, other in dropped.items() if i not in returned]
            standing = narrow(list(map(runner, alive)), losers=losers)
            back = list(map(int, standing.back))
            dropped |= {int(name): other for name, other in standing.lost_to.items()}
            dropped = {i: other for i, other in dropped.items() if i not in back}
            returned.update(back)
            alive = [i for i in alive if i not in dropped] + back
            playing, looking = list(map(int, standing.contenders)), bool(back)
        if not alive:
            break
        costs = field.play()
        for i in playing:
            rounds[i][number] = float(costs[i])
        seconds += len(playing) * (START_S + BLOCKS_A_ROUND * BLOCK_S)
        if number >= FEWEST_ROUNDS:
            last = number == MOST_ROUNDS
            ended = judged(rounds, alive, matters, ERROR_AT_THE_END if last else ERROR_OF_AN_EARLY_LOOK)
            if ended[0] in ("WIN", "TIE") and not exhaustive:
                ended = judged(rounds, alive, matters, ERROR_AT_THE_END)
                break
    verdict, choice, equals, claimed = ended
    lost = 0.0 if choice is None else float(np.expm1(field.true[choice] - field.true[~field.fails].min()))
    return Ended(verdict, choice, equals, seconds, lost, claimed)


def judged(rounds, alive, matters, error):
    """The verdict of those that had the fewest rounds, as `decide.verdict` gives it where nothing serves today."""
    names = [f"{i}" for i in alive if len(rounds[i]) >= FEWEST_ROUNDS]
    if not names:
        return "INSUFFICIENT", None, tuple(alive), math.inf
    field = Field({name: rounds[int(name)] for name in names}, error)
    leader = min(names, key=lambda name: np.mean(np.log(list(rounds[int(name)].values()))))
    equals = field.may_be_best(names)
    open_ = [i for i in alive if f"{i}" not in names]
    claimed = field.regret(leader, names)

    def may_be_cheaper(i):
        loss = Field({leader: rounds[int(leader)], f"{i}": rounds[i]}, error).dearer(f"{i}", leader)
        return loss is None or loss.low <= -matters

    verdict = named(len(equals) + len(open_), claimed, matters)
    if any(map(may_be_cheaper, open_)):
        verdict = "INSUFFICIENT"
    return verdict, int(leader), (*map(int, equals), *open_), math.inf if claimed is None else claimed
