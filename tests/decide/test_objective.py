"""Other objectives than cost: who wins, and that a figure that is none never does."""

import math
from dataclasses import replace

import pytest

from bakeoff.decide.across.joining import join
from bakeoff.decide.court import convene
from bakeoff.decide.maps.outlook import outlook, outlooks
from bakeoff.decide.verdict import judge_scenario
from bakeoff.errors import UserError

OBJECTIVES = ("cost", "throughput", "p99", "memory", "energy")


def with_facts(record, facts):
    """The record, in which the blocks of each candidate named hold these facts."""

    def changed(one):
        return tuple(
            replace(entry, fetch=lambda entry=entry: replace(entry.block, facts=entry.block.facts | facts[one.id]))
            for entry in one.blocks
        )

    return replace(record, candidates=tuple(replace(one, blocks=changed(one)) for one in record.candidates))


@pytest.fixture
def field(scenario, engine):
    """Quick and large, and slow and small; the small one takes more energy."""

    def make(objective, quick=None, small=None, **changed):
        names = {"quick": engine(2.0, memory=900, noise=0.002), "small": engine(3.0, memory=300, noise=0.002)}
        record = scenario(names, objective=objective, **changed)
        facts = {"quick/fp32/1x1": {"energy_j": 10.0}, "small/fp32/1x1": {"energy_j": 20.0}}
        facts["quick/fp32/1x1"] |= quick or {}
        facts["small/fp32/1x1"] |= small or {}
        return with_facts(record, facts)

    return make


@pytest.mark.parametrize(
    ("objective", "winner", "words", "unit"),
    [
        ("cost", "quick", "cheaper than small", "USD per million items"),
        ("throughput", "quick", "faster than small", "seconds per million items"),
        ("p99", "quick", "faster than small", "ms"),
        ("memory", "small", "67 % smaller than quick", "bytes"),
        ("energy", "quick", "50 % thriftier than small", "joules per million items"),
    ],
)
def test_the_best_has_the_least_of_what_the_objective_counts(field, objective, winner, words, unit):
    found = judge_scenario(field(objective))
    assert (found.verdict, found.choice.backend) == ("WIN", winner)
    assert words in found.headline
    assert (found.objective, found.score_unit) == (objective, unit)
    assert found.choice.score == min(one.score for one in found.candidates)


@pytest.mark.parametrize("figure", [None, math.nan, -1.0, 0.0, math.inf])
@pytest.mark.parametrize("objective", ["memory", "energy"])
def test_a_figure_that_is_no_positive_number_never_wins(field, objective, figure):
    name = {"memory": "peak_memory_bytes", "energy": "energy_j"}[objective]
    found = judge_scenario(field(objective, quick={name: figure}))
    assert found.choice.backend == "small"
    quick = next(one for one in found.candidates if one.backend == "quick")
    assert (quick.outcome, quick.score) == ("undecided", None)
    both = judge_scenario(field(objective, quick={name: figure}, small={name: figure}))
    assert both.choice is None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_one_that_was_never_measured_never_wins(scenario, engine, objective):
    names = {"never": engine(None), "thirty": engine(28.0), "ninety": engine(90.0)}
    for one in names.values():
        one.blocks = {"seconds": 60.0, "energy_j": 5.0}
    traffic = {"kind": "server", "qps": 5}
    found = judge_scenario(scenario(names, sla={"p90": "50ms"}, traffic=traffic, objective=objective))
    assert found.choice.backend == "thirty"
    assert next(one for one in found.candidates if one.backend == "never").score is None


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_latencies_that_are_none_never_win(scenario, engine, objective):
    """Stamps that run backwards, and answers that never came."""
    record = scenario({"liar": engine(1.0), "mute": engine(1.0, blocks={"drop": 1.0}), "good": engine(3.0)})
    record = replace(record, definition=dict(record.definition) | {"objective": objective})
    liar, mute, good = record.candidates
    entries = tuple(
        replace(entry, fetch=lambda entry=entry: replace(entry.block, done_ns=entry.block.scheduled_ns - 5))
        for entry in liar.blocks
    )
    facts = {one.id: {"energy_j": 5.0} for one in record.candidates}
    found = judge_scenario(with_facts(replace(record, candidates=(replace(liar, blocks=entries), mute, good)), facts))
    assert found.choice.backend == "good"
    assert {one.backend: one.outcome for one in found.candidates}["liar"] == "failed"
    assert {one.backend: one.outcome for one in found.candidates}["mute"] != "ok"


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("stamp", ["scheduled_ns", "started_ns"])
def test_latencies_and_services_of_zero_never_win(scenario, engine, objective, stamp):
    """An answer in the very nanosecond in which its request was due, or its call began."""
    record = scenario({"instant": engine(1.0), "good": engine(3.0)})
    record = replace(record, definition=dict(record.definition) | {"objective": objective})
    instant, good = record.candidates
    entries = tuple(
        replace(entry, fetch=lambda entry=entry: replace(entry.block, done_ns=getattr(entry.block, stamp)))
        for entry in instant.blocks
    )
    facts = {one.id: {"energy_j": 5.0} for one in record.candidates}
    found = judge_scenario(with_facts(replace(record, candidates=(replace(instant, blocks=entries), good)), facts))
    assert found.choice.backend == "good"
    assert {one.backend: one.outcome for one in found.candidates}["instant"] != "ok"


@pytest.fixture
def spoilt(field):
    """How `small` is judged where those of its blocks that `which` picks took an energy of `nonsense`."""

    def judged(which, nonsense):
        record = field("energy")
        quick, small = record.candidates
        blocks = tuple(
            replace(each, fetch=lambda each=each: replace(each.block, facts=each.block.facts | {"energy_j": nonsense}))
            if which(each)
            else each
            for each in small.blocks
        )
        found = judge_scenario(replace(record, candidates=(quick, replace(small, blocks=blocks))))
        return next(each for each in found.candidates if each.backend == "small")

    return judged


@pytest.mark.parametrize("nonsense", [0.0, -10.0])
def test_one_block_without_energy_makes_no_round_thriftier(spoilt, nonsense):
    assert spoilt(lambda entry: entry.position == 0, nonsense).score is None
    often = spoilt(lambda entry: entry.round > 2, nonsense)
    assert often.outcome == "undecided"
    assert often.reason.startswith("its energy could be told in 2 of ")


@pytest.mark.parametrize(("objective", "figures"), [("p99", {"p99": "2ms"}), ("memory", {"memory": "100KiB"})])
def test_production_is_held_against_by_the_same_figure(field, objective, figures):
    today = {"name": "the old one", "qps": 50, "cpus": 1, **figures}
    assert judge_scenario(field(objective, incumbent=today)).answer == ("STAY" if objective == "p99" else "SWITCH")
    unknown = {"name": "the old one", "qps": 50, "cpus": 1}
    assert judge_scenario(field(objective, incumbent=unknown)).answer is None


def test_what_goes_by_cost_says_so(field, run):
    record = field("memory")
    with pytest.raises(UserError, match="its objective is memory; join goes by cost"):
        join([("a", run(record)), ("b", replace(run(record), run="another"))])
    with pytest.raises(UserError, match="its objective is memory; map goes by cost"):
        outlook([convene(record)])
    assert outlooks(run(record)) == {}
