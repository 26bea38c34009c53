import html
import io
from dataclasses import replace

from rich.console import Console

from bakeoff.decide.noise import OWN_CPU, STOLEN, Measuring
from bakeoff.show import console
from bakeoff.show.markdown import markdown
from bakeoff.show.measuring import measuring_words, preparation_words, words
from bakeoff.show.page import page


def test_the_noise_meanwhile_and_the_generators_place(record, win):
    noise, generator, lateness, energy = measuring_words(record, win)
    assert noise.startswith("While it measured, some task waited for a CPU 2.3 % of the time (worst block 3.4 %)")
    assert "the hypervisor took CPUs 0.10 % of the time (worst block 0.20 %)" in noise
    assert "another task" not in noise, "no block tells"
    assert generator == "The load generator had a CPU of its own, and had real-time priority."
    assert lateness == "In no block was it late against the SLA."
    assert energy == "Energy could not be read on this machine."
    assert measuring_words(record, replace(win, scenario="other")) == ()


def test_how_often_engines_waited_for_the_disk(win):
    (line,) = words(Measuring(steal=(0.0, 0.0), disk_faults=1234), win)
    assert line.endswith(", engines waited for the disk 1,234 times, for pages not in memory.")
    assert "disk" not in words(Measuring(steal=(0.0, 0.0)), win)[0]


def test_what_the_generator_took_where_it_had_no_cpu_and_no_priority(win):
    _, line, *_ = words(
        Measuring(
            blocks=4, open_blocks=4, steal=(0.0, 0.0), generator_share=0.0314, shared=4, unprivileged=4,
        ),
        win,
    )  # fmt: skip
    assert line.startswith("The load generator shared the engines' CPUs and took 3.1 % of their time.")
    assert "no real-time priority" in line


def test_disturbed_blocks_are_counted_by_cause(win):
    lines = words(Measuring(blocks=9, open_blocks=9, watched=9, disturbed={OWN_CPU: 2, STOLEN: 1}), win)
    assert (
        "In 3 of 9 blocks it was late against the SLA: other tasks ran on the generator's CPU (2); "
        "the hypervisor took CPUs (1)." in lines
    )


def test_energy_of_the_choice(win):
    assert win.choice is not None
    lines = words(Measuring(blocks=1, energy_j={win.choice.candidate: 0.0123}, energy_source="RAPL"), win)
    assert "the machine took 12.3 mJ a request" in lines[-1]
    assert lines[-1].endswith("(RAPL).")
    assert words(Measuring(blocks=1, energy_j={"other": 1.0}), win) == ()


def test_nothing_measured_says_nothing(win):
    assert words(Measuring(), win) == ()


def sharing(verdict, *shares):
    """The verdict, its first candidates with these shares of preparation."""
    candidates = [replace(one, preparation_share=share) for one, share in zip(verdict.candidates, shares, strict=False)]
    choice = candidates[0] if verdict.choice else None
    return replace(verdict, candidates=(*candidates, *verdict.candidates[len(candidates) :]), choice=choice)


def test_the_share_of_the_preparation_of_the_choice_and_of_all(win, every):
    assert preparation_words(win) == ""
    one = "Preparing features takes 12 % of the choice's service time"
    assert preparation_words(sharing(win, 0.12)) == f"{one}."
    assert preparation_words(sharing(win, 0.12, 0.34, 0.08)) == f"{one} (8.0 % to 34 % among all candidates)."
    assert words(Measuring(), sharing(win, 0.12)) == (f"{one}.",)
    none = next(verdict for verdict in every if verdict.choice is None and len(verdict.candidates) > 1)
    assert preparation_words(sharing(none, 0.12)) == "Preparing features takes 12 % of the service time."
    assert preparation_words(sharing(none, 0.12, 0.5)) == "Preparing features takes 12 % to 50 % of the service time."


def test_the_terminal_the_summary_and_the_page_show_the_share(record, win):
    line, verdict = "Preparing features takes 12 % of the choice's service time", sharing(win, 0.12)
    to = Console(file=io.StringIO(), width=140)
    console.render([verdict], to)
    assert line in to.file.getvalue()
    assert line in markdown(record, [verdict])
    assert html.escape(line).replace("&#x27;", "&#39;") in page(record, [verdict])
    assert "Preparing features" not in page(record, [win]) + markdown(record, [win])
