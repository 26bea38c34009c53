"""Backends that misbehave, each in its own way; all else about them is an honest onnxruntime plugin."""

import ctypes
import hashlib
import mmap
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bakeoff.backends import Backend, Facts, Session, Unavailable, Unsupported


class Honest(Backend):
    """Well-behaved: onnxruntime with default options and one thread."""

    name = "naughty-honest"
    formats = ("onnx",)
    instances = "threads"

    def probe(self, device):
        return Facts(version="1.0")

    def load(self, artifact, setting, device):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setting.threads
        options.inter_op_num_threads = 1
        return self.session(onnxruntime.InferenceSession(str(artifact.path), options, ["CPUExecutionProvider"]))

    def session(self, engine):
        return HonestSession(engine)


class HonestSession(Session):
    def __init__(self, engine):
        self.engine = engine
        self.names = [output.name for output in engine.get_outputs()]
        self.calls = 0

    def infer(self, inputs):
        self.calls += 1
        return dict(zip(self.names, self.engine.run(self.names, dict(inputs)), strict=True))


class Split(Honest):
    """Well-behaved, and says that a tenth of a millisecond of each call went into transfers."""

    name = "naughty-split"

    def session(self, engine):
        return SplitSession(engine)


class SplitSession(HonestSession):
    def spent_ns(self):
        return {"transfer": 100_000 * self.calls}


class InProcesses(Honest):
    """Well-behaved, one process for each instance."""

    name = "naughty-in-processes"
    instances = "processes"


class Maps(Honest):
    """Maps what lies beside its artifact, and never reads it."""

    name = "naughty-maps"

    def load(self, artifact, setting, device):
        session = super().load(artifact, setting, device)
        with (artifact.path.parent / "weights").open("rb") as file:
            session.weights = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        return session


class IsNotHere(Honest):
    name = "naughty-unavailable"

    def probe(self, device):
        raise Unavailable("the engine is not installed", "pip install engine")


class CannotBuild(Honest):
    name = "naughty-unsupported"

    def build(self, model, precision, setting, device, into):
        raise Unsupported("operator Frobnicate is not known")


class RaisesInBuild(Honest):
    name = "naughty-raises-in-build"

    def build(self, model, precision, setting, device, into):
        raise RuntimeError("no can do\nsecond line")


class RaisesInLoad(Honest):
    name = "naughty-raises-in-load"

    def load(self, artifact, setting, device):
        raise ValueError("bad artifact\nsecond line")


class FindsNoGpuMemory(Honest):
    name = "naughty-finds-no-gpu-memory"

    def load(self, artifact, setting, device):
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")


class _InInfer(Honest):
    """Does `self.deed(inputs, outputs, calls)` to each answer."""

    def session(self, engine):
        return _Misdeed(engine, self.deed)

    def deed(self, inputs, outputs, calls):
        return outputs


class _Misdeed(HonestSession):
    def __init__(self, engine, deed):
        super().__init__(engine)
        self.deed = deed

    def infer(self, inputs):
        return self.deed(inputs, super().infer(inputs), self.calls)


class RaisesInInfer(_InInfer):
    name = "naughty-raises"

    def deed(self, inputs, outputs, calls):
        raise RuntimeError("infer went wrong")


class RaisesLater(_InInfer):
    """Fails one request in ten, from when the file named by NAUGHTY_CUE is there."""

    name = "naughty-raises-later"

    def deed(self, inputs, outputs, calls):
        if calls % 10 == 0 and os.path.exists(os.environ["NAUGHTY_CUE"]):  # noqa: PTH110 - called in a hot loop
            raise RuntimeError("one in ten")
        return outputs


class Compiles(Honest):
    """Takes 0.4 s more for the first call of as many rows as the next power of two holds."""

    name = "naughty-compiles"

    def session(self, engine):
        return CompilingSession(engine)


class CompilingSession(HonestSession):
    def __init__(self, engine):
        super().__init__(engine)
        self.compiled = set()

    def infer(self, inputs):
        power = (len(inputs["ids"]) - 1).bit_length()
        if power not in self.compiled:
            self.compiled.add(power)
            time.sleep(0.4)
        return super().infer(inputs)


class Sluggish(_InInfer):
    """Takes 20 ms more than it needs, without the GIL."""

    name = "naughty-sluggish"

    def deed(self, inputs, outputs, calls):
        time.sleep(0.02)
        return outputs


class GrowsOnce(_InInfer):
    """Takes 200 MiB for the time of each call, while the file named by NAUGHTY_CUE is there."""

    name = "naughty-grows-once"

    def deed(self, inputs, outputs, calls):
        if os.path.exists(os.environ["NAUGHTY_CUE"]):  # noqa: PTH110 - called in a hot loop
            np.ones(200 << 20, np.uint8)
        return outputs


class NoOp(Backend):
    """Answers zeros without computing: for the cost of measuring itself, never with references."""

    name = "naughty-no-op"
    formats = ("onnx",)
    instances = "threads"

    def load(self, artifact, setting, device):
        return NoOpSession()


class NoOpSession(Session):
    def infer(self, inputs):
        return {}


class Crowded(_InInfer):
    """Spreads its work over eight threads, as an engine does that sizes its pool by the host's cores."""

    name = "naughty-crowded"

    def session(self, engine):
        self.pool = [ThreadPoolExecutor(1) for _ in range(8)]
        return super().session(engine)

    def deed(self, inputs, outputs, calls):
        work = ("sha256", b"work", b"salt", 300)
        for share in [thread.submit(hashlib.pbkdf2_hmac, *work) for thread in self.pool]:
            share.result()
        return outputs


class Strays(_InInfer):
    """Lets its threads run on all CPUs of the machine, once it is loaded."""

    name = "naughty-strays"

    def deed(self, inputs, outputs, calls):
        os.sched_setaffinity(0, range(os.cpu_count()))
        return outputs


class StraysLater(Strays):
    """The same, and only while the file named by NAUGHTY_CUE is there."""

    name = "naughty-strays-later"

    def deed(self, inputs, outputs, calls):
        cue = os.path.exists(os.environ["NAUGHTY_CUE"])  # noqa: PTH110 - called in a hot loop
        return super().deed(inputs, outputs, calls) if cue else outputs


class StraysInAChild(Honest):
    """Has a process of its own that may run on all CPUs."""

    name = "naughty-strays-in-a-child"

    def load(self, artifact, setting, device):
        self.child = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
        os.sched_setaffinity(self.child.pid, range(os.cpu_count()))
        return super().load(artifact, setting, device)


class Aborts(_InInfer):
    name = "naughty-aborts"

    def deed(self, inputs, outputs, calls):
        print("assertion failed: x > 0", file=sys.stderr, flush=True)  # noqa: T201
        os.abort()


class Segfaults(_InInfer):
    name = "naughty-segfaults"

    def deed(self, inputs, outputs, calls):
        return ctypes.string_at(0)


class DiesLater(_InInfer):
    """Dies of SIGKILL in a measured block: when the file named by NAUGHTY_CUE is there."""

    name = "naughty-dies-later"

    def deed(self, inputs, outputs, calls):
        if os.path.exists(os.environ["NAUGHTY_CUE"]):  # noqa: PTH110 - called in a hot loop
            os.kill(os.getpid(), 9)
        return outputs


class Hangs(_InInfer):
    """Holds the GIL for ever: no other thread of its process runs again."""

    name = "naughty-hangs"

    def deed(self, inputs, outputs, calls):
        ctypes.PyDLL(None).sleep(100_000)


class HangsLater(_InInfer):
    """Holds the GIL for ever, from when the file named by NAUGHTY_CUE is there."""

    name = "naughty-hangs-later"

    def deed(self, inputs, outputs, calls):
        if os.path.exists(os.environ["NAUGHTY_CUE"]):  # noqa: PTH110 - called in a hot loop
            ctypes.PyDLL(None).sleep(100_000)
        return outputs


class Chatters(_InInfer):
    """Prints garbage, from Python and from C."""

    name = "naughty-chatters"

    def deed(self, inputs, outputs, calls):
        if calls % 50 == 1:
            print('{"outcome": "ok"}\n\x00\xff garbage')  # noqa: T201
            os.write(1, b'{"ready": 1}\n\xff\xfe')
            ctypes.CDLL(None).puts(b"[INFO] engine says hello")
        return outputs


class ReturnsNan(_InInfer):
    name = "naughty-nan"

    def deed(self, inputs, outputs, calls):
        return {name: np.full_like(value, np.nan) for name, value in outputs.items()}


class WrongShape(_InInfer):
    name = "naughty-wrong-shape"

    def deed(self, inputs, outputs, calls):
        return {name: value[:1] for name, value in outputs.items()}


class Lazy(Honest):
    """Computes at first, and later returns what it answered to the last request of the same size."""

    name = "naughty-lazy"

    def session(self, engine):
        return _LazySession(engine)


class _LazySession(HonestSession):
    def __init__(self, engine):
        super().__init__(engine)
        self.kept = {}

    def infer(self, inputs):
        size = len(next(iter(inputs.values())))
        if self.calls < 100 or size not in self.kept:
            self.kept[size] = super().infer(inputs)
        return self.kept[size]


class OneSize(_InInfer):
    """Takes requests of 4 and 8 rows, and nothing that was joined of them."""

    name = "naughty-one-size"

    def deed(self, inputs, outputs, calls):
        if len(inputs["ids"]) not in (4, 8):
            raise ValueError("only 4 or 8 rows")
        return outputs


class Shrinks(_InInfer):
    """Answers the first 8 rows of what it is asked."""

    name = "naughty-shrinks"

    def deed(self, inputs, outputs, calls):
        return {name: value[:8] for name, value in outputs.items()}


class Crosswise(_InInfer):
    """Lets the rows of a joined call see each other."""

    name = "naughty-crosswise"

    def deed(self, inputs, outputs, calls):
        joined = len(inputs["ids"]) > 8
        return {name: value - value.mean() if joined else value for name, value in outputs.items()}


class Coarse(_InInfer):
    """Lossy: twenty steps from 0 to the largest answer of the call, as where int8 is scaled by what a call holds."""

    name = "naughty-coarse"

    def deed(self, inputs, outputs, calls):
        steps = {name: np.abs(value).max() / 20 for name, value in outputs.items()}
        return {name: np.round(value / steps[name]) * steps[name] for name, value in outputs.items()}


class Glutton(Honest):
    """Grows by 32 MiB at a time, to 3 GiB at most."""

    name = "naughty-glutton"

    def load(self, artifact, setting, device):
        self.hoard = []
        for _ in range(96):
            self.hoard.append(np.ones(1 << 22))
            time.sleep(0.01)
        return super().load(artifact, setting, device)


class Parent(Honest):
    """Starts a process in a session of its own that would outlive it."""

    name = "naughty-parent"

    def load(self, artifact, setting, device):
        subprocess.Popen(["sleep", "1000"], start_new_session=True, stdout=subprocess.DEVNULL)
        return super().load(artifact, setting, device)
