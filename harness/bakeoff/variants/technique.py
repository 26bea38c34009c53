"""What a compression technique is: parameters, checked before anything is trained, and a way to make a model smaller.

A technique edits a torch model and knows no engine; a precision is an engine's affair. torch is imported by the
methods that need it, so that parameters can be checked in a process without torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from bakeoff.backends import Unsupported

if TYPE_CHECKING:
    import torch

    from bakeoff.scenario.recipe import Step

Fact = str | int | float


class Trainer(Protocol):
    """Trains a model of the workload in place; see `Bench.train`."""

    def __call__(self, module: torch.nn.Module, share: float, teacher: torch.nn.Module | None = None) -> None: ...


class Apart(Protocol):
    """Runs a script by an interpreter of its own; see `Bench.apart`."""

    def __call__(
        self, script: Path, words: Sequence[str], requirements: Sequence[str], settings: Mapping[str, str]
    ) -> None: ...


def _no_training(module: torch.nn.Module, share: float, teacher: torch.nn.Module | None = None) -> None:
    raise Unsupported("this workload brings no training")


def _no_student(size: float) -> torch.nn.Module:
    raise Unsupported("this workload names no smaller student")


def _no_loss(module: torch.nn.Module) -> float:
    raise Unsupported("this workload brings no training loss")


def _no_tile(module: torch.nn.Module) -> torch.nn.Module:
    raise Unsupported("this workload has no features of the user that its items share")


def _not_apart(script: Path, words: Sequence[str], requirements: Sequence[str], settings: Mapping[str, str]) -> None:
    raise Unsupported("nothing can be run in an environment of its own here")


@dataclass(frozen=True, slots=True)
class Bench:
    """What a technique may use beside the model: nothing of it ever saw a held-out label.

    `examples` are real requests of the traffic as the module's arguments, in order. `train` trains a model in place for
    a share of the workload's usual training, on the soft labels of `teacher` where one is given. `student` gives an
    untrained model with the same inputs and outputs and about `size` of the base's layers. `loss` is the mean training
    loss on rows that are kept apart from training for such questions. `tile` gives the same model with what belongs to
    the user computed once per request. `apart` runs a Python script with arguments and variables in an environment made
    of requirements that do not go with ours; it raises Unavailable where that cannot be made. Each of these raises
    Unsupported where the workload does not offer it. `facts` take what is worth telling about the making.
    """

    examples: Sequence[tuple[torch.Tensor, ...]]
    seed: int = 0
    train: Trainer = _no_training
    student: Callable[[float], torch.nn.Module] = _no_student
    loss: Callable[[torch.nn.Module], float] = _no_loss
    tile: Callable[[torch.nn.Module], torch.nn.Module] = _no_tile
    apart: Apart = _not_apart
    progress: Callable[[str], None] = lambda _: None
    facts: dict[str, Fact] = field(default_factory=dict)

    def finetuned(self, module: torch.nn.Module, share: float) -> torch.nn.Module:
        """The module in evaluation mode, trained in place before where `share` of the usual training is not 0."""
        if share:
            self.train(module, share)
        return module.eval()


class Technique(ABC):
    """A frozen dataclass whose fields are the parameters, the main one first, checked in `__post_init__`.

    A field is an int, a float or a str with a default where it may be left out. `name` is how scenario files call it.
    """

    name: ClassVar[str]
    about: ClassVar[str]
    """What it does, in half a line, for lists."""
    begins: ClassVar[bool] = False
    """Whether it makes a model of its own, so that what stood before it in a chain would be lost."""
    trains: ClassVar[bool] = False
    """Whether all that it does is to train."""

    @abstractmethod
    def apply(self, module: torch.nn.Module, bench: Bench) -> torch.nn.Module:
        """The smaller model, in evaluation mode. `module` is the technique's own copy, to be edited or thrown away.

        Raises Unsupported where the technique does not apply to this model; the message says why.
        """

    @property
    def control(self) -> str:
        """The recipe whose quality shows what the fine-tuning alone does, "" where nothing was fine-tuned."""
        share = getattr(self, "finetune", 0.0)
        return f"finetune:{share:g}" if share else ""

    @classmethod
    def usage(cls) -> str:
        """How it is written: "prune:RATIO:finetune=0"."""
        known = fields(cls)  # type: ignore[arg-type]
        main = [each.name.upper() if each.default is MISSING else str(each.default) for each in known[:1]]
        return ":".join([cls.name, *main, *(f"{each.name}={each.default}" for each in known[1:])])

    @classmethod
    def of(cls, step: Step) -> Self:
        """The technique with a step's parameters; raises ValueError with what would be right."""
        known = fields(cls)  # type: ignore[arg-type]
        given = dict(step.options) | ({known[0].name: step.value} if step.value and known else {})
        if step.value and not known:
            raise ValueError(f"{step}: {cls.name} takes no parameter")
        for name in given:
            if name not in {each.name for each in known}:
                takes = ", ".join(each.name for each in known) or "nothing"
                raise ValueError(f"{step}: {cls.name} has no parameter {name}; it takes {takes}")
        values: dict[str, Any] = {}
        for each in known:
            if each.name in given:
                values[each.name] = _converted(step, each.name, _kind(each.type), given[each.name])
            elif each.default is MISSING:
                raise ValueError(f"{step}: {cls.name} needs its {each.name}, as in {cls.name}:{_example(cls)}")
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{step}: {error}") from None


def _example(cls: type[Technique]) -> str:
    return getattr(cls, "example", "0.5")


def _kind(annotation: Any) -> str:
    """A field's type by name: a class stands for itself where its module does not put annotations off."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _converted(step: Step, name: str, kind: str, text: str) -> int | float | str:
    convert: Callable[[str], int | float | str] = {"int": int, "float": float}.get(kind, str)
    try:
        return convert(text)
    except ValueError:
        whole = "a whole number" if kind == "int" else "a number"
        raise ValueError(f"{step}: {name} must be {whole}, not {text}") from None


def counted(module: torch.nn.Module) -> Mapping[str, Fact]:
    """How many numbers a model holds, and how many of them are not zero."""
    tensors = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}.values()
    numbers = sum(tensor.numel() for tensor in tensors)
    return {"parameters": numbers, "nonzero": sum(int((tensor != 0).sum()) for tensor in tensors)}
