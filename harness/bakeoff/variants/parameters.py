"""What the parameters of several techniques may be. torch stays unimported: a process without it checks them."""

from __future__ import annotations


def require_share(name: str, value: float, zero: bool = True) -> None:
    """Raise ValueError unless `value` is a share from 0 (or above it) to below 1."""
    if not (0 <= value < 1) or (not zero and value == 0):
        raise ValueError(f"{name} must be {'from 0' if zero else 'above 0'} to below 1, not {value:g}")


def require_finetune(value: float) -> None:
    """Raise ValueError unless `value` is a share of the usual training that a technique may fine-tune for."""
    if not 0 <= value <= 10:
        raise ValueError(f"finetune must be from 0 to 10 times the usual training, not {value:g}")


def require_training(name: str, share: float) -> None:
    """Raise ValueError unless `share` of the usual training is some training."""
    if not 0 < share <= 10:
        raise ValueError(f"{name} must be above 0 and up to 10 times the usual training, not {share:g}")


def require_rank(rank: float) -> None:
    """Raise ValueError unless `rank` is a whole number from 1 on, or a share of the energy."""
    if not (0 < rank < 1 or (rank >= 1 and rank % 1 == 0)):
        raise ValueError(f"rank must be a whole number from 1 on, or a share of the energy below 1, not {rank:g}")


def require_codes(name: str, values: int) -> None:
    """Raise ValueError unless a byte can tell so many values apart, and there is something to tell."""
    if not 2 <= values <= 256:
        raise ValueError(f"{name} must be a whole number from 2 to 256, which a byte can tell, not {values}")
