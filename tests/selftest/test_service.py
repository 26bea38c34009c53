import hashlib
import json
import os
import time

import numpy as np
import pytest

from bakeoff.backends import Artifact, Setting
from bakeoff.selftest.service import INPUTS, OUTPUT, Calibrated

pytestmark = pytest.mark.alone

KEY = bytes(range(16))


def served(folder, rounds, answers=""):
    path = folder / "service.json"
    path.write_text(json.dumps({"rounds": rounds, "answers": str(answers)}))
    return Calibrated().load(Artifact(path, "fp32", INPUTS, (OUTPUT,)), Setting("1x1"), "cpu")


def request(stall_ms=0.0):
    return {"key": np.frombuffer(KEY, np.uint8).reshape(1, 16), "stall_ms": np.array([stall_ms], np.float32)}


def test_answers_are_the_keys_digest(tmp_path):
    session = served(tmp_path, rounds=3)
    expected = list(hashlib.pbkdf2_hmac("sha256", KEY, b"bakeoff", 3))
    assert session.infer(request())[OUTPUT].tolist() == [expected]
    session.close()


def test_a_stalling_request_takes_that_much_longer(tmp_path):
    session = served(tmp_path, rounds=0)
    begun = time.monotonic()
    session.infer(request(stall_ms=50.0))
    assert time.monotonic() - begun >= 0.05


def test_each_answer_is_told_and_a_full_pipe_holds_nobody_up(tmp_path):
    pipe = tmp_path / "answers"
    os.mkfifo(pipe)
    session = served(tmp_path, rounds=0, answers=pipe)
    listener = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    for _ in range(3):
        session.infer(request())
    assert len(os.read(listener, 100)) == 3
    for _ in range(70_000):
        session.infer(request())
    session.close()
    os.close(listener)
