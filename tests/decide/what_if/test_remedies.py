"""What would have to change: told so that asking it of the same record gives what was told."""

import re
from dataclasses import replace

import pytest

from bakeoff.backends import Setting
from bakeoff.candidates import Candidate
from bakeoff.decide.court import convene
from bakeoff.decide.verdict import judge_scenario, verdict_of
from bakeoff.scenario import restore
from bakeoff.store.record import CandidateRecord, LedgerRow

LONG = {"seconds": 20}


def judged(verdict, name):
    return next(one for one in verdict.candidates if one.backend == name)


def asked_again(record, remedy):
    """The verdict on the same blocks where what was to be changed is changed."""
    scenario = restore(dict(record.definition))
    if remedy.unit == "ms":
        sla = scenario.sla.model_copy(update={"limit_ms": remedy.needed})
        scenario = scenario.model_copy(update={"sla": sla})
    else:
        (metric,) = [metric for metric in scenario.quality if metric in remedy.what]
        floor = scenario.quality[metric].model_copy(update={"amount": remedy.needed})
        scenario = scenario.model_copy(update={"quality": {**scenario.quality, metric: floor}})
    return judge_scenario(replace(record, definition=scenario.definition()))


def lossy(engine, quality, delta, service_ms, **more):
    return engine(service_ms, precision="int8", noise=0.004, quality=(quality(delta),), **more)


@pytest.mark.parametrize(
    ("delta", "service_ms", "more", "then", "words"),
    [
        (-0.0033, 2.0, {}, "wins", r"would win if the auc floor were 0.0034, .* cheaper than good/fp32/1x1"),
        (
            -0.0019,
            3.4,
            {"half": 0.0005},
            "loses",
            r"would pass if the auc floor were 0.002[45], and still be .* % dearer",
        ),
        (-0.0033, 3.0, {}, "ties", r"would pass if the auc floor were 0.0034, and not be told apart from good/fp32"),
        (-0.0033, 2.0, {"rounds": 0}, "leads", r"may win if the auc floor were 0.0034, .* by one screening block each"),
        (-0.0033, 30.0, {}, "fails", r"would still be sla-missed if the auc floor were 0.0034"),
    ],
)
def test_a_looser_floor(scenario, engine, quality, delta, service_ms, more, then, words):
    half = more.pop("half", 0.0001)
    field = {"good": engine(3.0, noise=0.004), "lossy": lossy(engine, quality, delta, service_ms, **more)}
    field["lossy"].quality = (quality(delta, half),)
    record = scenario(field)
    (remedy,) = judged(judge_scenario(record), "lossy").remedies
    assert (remedy.then, remedy.asked, remedy.what) == (then, 0.002, "the auc floor")
    assert re.match(words, remedy.words)
    after = asked_again(record, remedy)
    fate, chosen = judged(after, "lossy").outcome, after.choice and after.choice.backend
    expected = {
        "wins": ("ok", "lossy"),
        "loses": ("ok", "good"),
        "ties": ("ok", chosen),
        "leads": ("undecided", None),
        "fails": ("sla-missed", "good"),
    }
    assert (fate, chosen) == expected[then]
    tighter = asked_again(record, replace(remedy, needed=remedy.needed - 0.0002))
    assert judged(tighter, "lossy").outcome != "ok"


def test_what_the_race_dropped_for_a_missed_gate_is_told_as_if_it_were_still_in(scenario, engine, quality):
    dropped = (LedgerRow("race", "eliminated", "as it missed its gate"),)
    field = {"good": engine(3.0), "lossy": lossy(engine, quality, -0.0033, 2.0, ledger=dropped)}
    field["late"] = engine(6.5, blocks=LONG, ledger=dropped)
    found = judge_scenario(scenario(field))
    assert judged(found, "lossy").remedies[0].then == "wins"
    assert judged(found, "late").remedies[0].words.startswith("would pass if the p99 limit were ")


def test_a_relative_floor_in_per_cent(scenario, engine, quality):
    field = {"good": engine(3.0), "lossy": lossy(engine, quality, -0.0033, 2.0)}
    (remedy,) = judged(judge_scenario(scenario(field, quality={"auc": "0.1%"})), "lossy").remedies
    assert remedy.needed == 0.0049
    assert "the auc floor were 0.49 %, " in remedy.words


def test_two_floors_missed_are_not_told_as_one(scenario, engine, quality):
    field = {"good": engine(3.0), "lossy": lossy(engine, quality, -0.0033, 2.0)}
    field["good"].quality = (quality(), quality(metric="ndcg"))
    field["lossy"].quality += (quality(-0.01, metric="ndcg"),)
    found = judge_scenario(scenario(field, quality={"auc": 0.002, "ndcg": 0.002}))
    assert found.choice.backend == "good"
    assert judged(found, "lossy").remedies == ()


def test_a_cheaper_one_that_would_pass_too_is_named(scenario, engine, quality):
    field = {"good": engine(3.0), "lossy": lossy(engine, quality, -0.005, 2.0)}
    field["cheaper"] = lossy(engine, quality, -0.0033, 1.5)
    (remedy,) = judged(judge_scenario(scenario(field)), "lossy").remedies
    assert (remedy.then, remedy.dearer) == ("loses", None)
    assert "and so would cheaper/int8/1x1, cheaper still" in remedy.words


def test_a_longer_limit_and_a_lower_load(scenario, engine):
    record = scenario({"good": engine(3.0), "late": engine(6.5, blocks=LONG)})
    limit, rate = judged(judge_scenario(record), "late").remedies
    assert (limit.what, limit.asked, limit.then) == ("the p99 limit", 20.0, "loses")
    after = asked_again(record, limit)
    assert judged(after, "late").outcome == "ok"
    again = convene(replace(record, definition=record.definition | {"sla": after.sla}))
    assert limit.dearer == pytest.approx(again.loss("late/fp32/1x1", "good/fp32/1x1").value, rel=0.05)
    assert f"{limit.needed:g} ms, and still be" in limit.words
    assert judged(asked_again(record, replace(limit, needed=limit.needed - 1.0)), "late").outcome != "ok"
    court = convene(record)
    holds = min(court.evidence["late/fp32/1x1"].capacity_qps.values())
    assert (rate.what, rate.unit) == ("the load of a replica", "requests/s")
    assert 0.9 * holds <= rate.needed <= holds < 100.0
    assert rate.then == "loses"


def test_a_longer_limit_may_win_by_another_objective(scenario, engine):
    field = {"good": engine(3.0, memory=900), "late": engine(6.5, memory=300, blocks=LONG)}
    record = scenario(field, sla={"p99": "12ms"}, objective="memory")
    limit, *_ = judged(judge_scenario(record), "late").remedies
    assert limit.then == "wins"
    assert limit.words.startswith("would win if the p99 limit were ")
    assert asked_again(record, limit).choice.backend == "late"


def test_no_limit_helps_what_cannot_keep_up(scenario, engine):
    record = scenario({"good": engine(3.0), "over": engine(12.0), "nearly": engine(9.7)})
    found = judge_scenario(record)
    for name in ("over", "nearly"):
        assert judged(found, name).outcome == "sla-missed"
        assert [one.what for one in judged(found, name).remedies if one.unit == "ms"] == []


def test_what_more_time_would_settle(scenario, engine):
    found = judge_scenario(scenario({"good": engine(3.0), "young": engine(2.0, rounds=1)}))
    (remedy,) = judged(found, "young").remedies
    assert (remedy.what, remedy.then, remedy.unit) == ("time", "settles", "s")
    assert remedy.words == f"about {remedy.needed:.0f} s more of measuring it would settle it"


def test_what_lost_the_race_would_win_at_a_tighter_floor(scenario, engine, quality):
    dropped = (LedgerRow("race", "eliminated", "50 % dearer than lossy"),)
    field = {"exact": engine(3.0, rounds=0, ledger=dropped), "lossy": lossy(engine, quality, -0.001, 2.0)}
    (remedy,) = judged(judge_scenario(scenario(field)), "exact").remedies
    assert (remedy.words, remedy.then) == ("might win if the auc floor were below 0.0011", "leads")


def test_gpu_memory_that_was_too_little_and_host_memory_of_which_nobody_knows(scenario, engine):
    record = scenario({"good": engine(3.0)})
    asked = record.definition | {"resources": {**record.definition["resources"], "device": "cuda"}}
    asked["resources"]["gpu_memory_bytes"] = 1 << 30
    held = LedgerRow("load", "out-of-memory", "too much", facts={"gpu_memory_bytes": 1500 << 20})
    grew = LedgerRow("load", "out-of-memory", "grew to 514 MiB, above the limit")
    rows = {"large": held, "unknown": grew}
    ended = [CandidateRecord(Candidate(name, "fp32", Setting("1x1")), {}, (row,)) for name, row in rows.items()]
    asked |= {"price": None}
    found = judge_scenario(replace(record, definition=asked, candidates=(*record.candidates, *ended)))
    (remedy,) = judged(found, "large").remedies
    assert remedy.words == "would be measured if the GPU memory limit were 1,500 MiB"
    assert judged(found, "unknown").remedies == ()


def test_infeasible_says_what_would_be_feasible(scenario, engine):
    record = scenario({"near": engine(6.5, blocks=LONG), "far": engine(15.0)}, sla={"p99": "12ms"})
    found = judge_scenario(record)
    limit = judged(found, "near").remedies[0]
    assert (found.verdict, limit.then) == ("INFEASIBLE", "passes")
    assert found.headline.endswith(f"; it would pass if the p99 limit were {limit.needed:g} ms.")
    assert asked_again(record, limit).choice.backend == "near"


def test_the_choice_has_none_and_a_look_while_measuring_takes_no_time_for_any(scenario, engine, quality, run):
    record = scenario({"good": engine(3.0), "lossy": lossy(engine, quality, -0.0033, 2.0)})
    assert judge_scenario(record).choice.remedies == ()
    assert all(one.remedies == () for one in verdict_of(run(record), "ctr-ranking").candidates)
