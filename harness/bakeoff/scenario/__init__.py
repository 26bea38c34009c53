"""The scenario: the question, read from a YAML file into frozen parts, with errors that a person can act on."""

from bakeoff.scenario.fields import is_model
from bakeoff.scenario.gate import Gate
from bakeoff.scenario.loading import find, from_dict, load_scenario, load_scenarios, restore
from bakeoff.scenario.model import Scenario
from bakeoff.scenario.options import from_model, override
from bakeoff.scenario.parts import Batcher, CandidateFilter, Fleet, Floor, Incumbent, Price, Requests, Resources
from bakeoff.scenario.schema import json_schema
from bakeoff.scenario.sizes import Share
from bakeoff.scenario.sla import Sla
from bakeoff.scenario.trace import Recorded, Trace
from bakeoff.scenario.traffic import Burst, Traffic

__all__ = [
    "Batcher",
    "Burst",
    "CandidateFilter",
    "Fleet",
    "Floor",
    "Gate",
    "Incumbent",
    "Price",
    "Recorded",
    "Requests",
    "Resources",
    "Scenario",
    "Share",
    "Sla",
    "Trace",
    "Traffic",
    "find",
    "from_dict",
    "from_model",
    "is_model",
    "json_schema",
    "load_scenario",
    "load_scenarios",
    "override",
    "restore",
]
