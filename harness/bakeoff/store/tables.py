"""The tables of a store, as they are at SCHEMA_VERSION. Any change here needs a migration in `migrations`."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = 3

metadata = MetaData()

meta = Table(
    "bakeoff_meta", metadata, Column("key", String(40), primary_key=True), Column("value", Text, nullable=False)
)

runs = Table(
    "bakeoff_runs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("run", String(40), nullable=False, unique=True),
    Column("started_at", String(40), nullable=False),
    Column("finished_at", String(40)),
    Column("status", String(40), nullable=False),
    Column("command", Text, nullable=False),
    Column("host", JSON, nullable=False),
    Column("environment", JSON, nullable=False),
    Column("budget_s", Float),
    Column("seed", BigInteger, nullable=False),
)

scenarios = Table(
    "bakeoff_scenarios",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("run_number", ForeignKey(runs.c.number), nullable=False),
    Column("name", Text, nullable=False),
    Column("definition", JSON, nullable=False),
    Column("workload", JSON, nullable=False),
    UniqueConstraint("run_number", "name"),
)

candidates = Table(
    "bakeoff_candidates",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("scenario_number", ForeignKey(scenarios.c.number), nullable=False),
    Column("candidate", Text, nullable=False),
    Column("definition", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    UniqueConstraint("scenario_number", "candidate"),
)

ledger = Table(
    "bakeoff_ledger",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("scenario_number", ForeignKey(scenarios.c.number), nullable=False, index=True),
    Column("candidate", Text),
    Column("stage", String(40), nullable=False),
    Column("outcome", String(40), nullable=False),
    Column("reason", Text, nullable=False),
    Column("seconds", Float),
    Column("command", Text, nullable=False),
    Column("at", String(40), nullable=False),
    Column("facts", JSON, nullable=False),
)

blocks = Table(
    "bakeoff_blocks",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("candidate_number", ForeignKey(candidates.c.number), nullable=False),
    Column("round", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("at", String(40), nullable=False),
    Column("stamps", LargeBinary, nullable=False),
    UniqueConstraint("candidate_number", "round", "position"),
)

quality = Table(
    "bakeoff_quality",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("candidate_number", ForeignKey(candidates.c.number), nullable=False),
    Column("metric", Text, nullable=False),
    Column("value", Float),
    Column("base", Float),
    Column("delta", Float),
    Column("low", Float),
    Column("high", Float),
    Column("examples", Integer, nullable=False),
    Column("higher_is_better", Boolean, nullable=False),
    UniqueConstraint("candidate_number", "metric"),
)

nights = Table(
    "bakeoff_nights",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("night", String(40), nullable=False, unique=True),
    Column("started_at", String(40), nullable=False),
    Column("finished_at", String(40)),
    Column("status", String(40), nullable=False),
    Column("command", Text, nullable=False),
    Column("pins", JSON, nullable=False),
    Column("packages", JSON, nullable=False),
    Column("host", JSON, nullable=False),
    Column("plan", JSON, nullable=False),
)

sessions = Table(
    "bakeoff_sessions",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("night_number", ForeignKey(nights.c.number), nullable=False),
    Column("scenario", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("stage", String(40), nullable=False),
    Column("session", Integer, nullable=False),
    Column("changes", JSON, nullable=False),
    Column("baseline", JSON, nullable=False),
    Column("now", JSON, nullable=False),
    Column("at", String(40), nullable=False),
    Column("stored", Boolean, nullable=False),
    UniqueConstraint("night_number", "scenario", "candidate", "stage", "session"),
)

answers = Table(
    "bakeoff_answers",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("night_number", ForeignKey(nights.c.number), nullable=False),
    Column("scenario", Text, nullable=False),
    Column("candidate", Text, nullable=False),
    Column("answer", JSON, nullable=False),
    UniqueConstraint("night_number", "scenario", "candidate"),
)
