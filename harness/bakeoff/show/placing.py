"""Puts labels beside points so that none covers another, a marker or the frame: greedy, most important label first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]
"""left, bottom, right, top in pixels."""

_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
_DISTANCES = (1.0, 1.8, 3.0, 4.5)
_FORBIDDEN = 10.0


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a label's centre goes, and whether it is so far from its point that a thin line should lead there."""

    x: float
    y: float
    far: bool
    box: Box

    def nearest(self, point: tuple[float, ...]) -> tuple[float, float]:
        """The point on the label's edge that lies nearest to `point`."""
        left, bottom, right, top = self.box
        return min(max(point[0], left), right), min(max(point[1], bottom), top)


def place(
    point: tuple[float, ...],
    size: tuple[float, float],
    taken: Sequence[Box],
    soft: Sequence[Box],
    frame: Box,
    gap: float,
    reach: tuple[float, float] = (0.0, 0.0),
) -> Spot | None:
    """The best free spot for a label of `size` near `point`, None where there is none. All in pixels.

    `taken` must stay uncovered, `soft` (error bars, the SLA's line) rather should; `gap` is the usual distance, counted
    from the ends of the point's own error bars, which are `reach` (across, up) away.
    """
    best: Spot | None = None
    lowest = _FORBIDDEN
    for rank, distance in enumerate(_DISTANCES):
        for turn, (across, up) in enumerate(_DIRECTIONS):
            x = point[0] + across * (gap * distance + size[0] / 2 + (0.0 if up else reach[0]))
            y = point[1] + up * (gap * distance + size[1] / 2 + (0.0 if across else reach[1]))
            spot = _spot(x, y, size, far=rank > 1)
            penalty = rank * 0.8 + turn * 0.05 + 1.2 * sum(overlaps(spot.box, box) for box in soft)
            penalty += _FORBIDDEN * (not _inside(spot.box, frame) or any(overlaps(spot.box, box) for box in taken))
            if penalty < lowest:
                best, lowest = spot, penalty
    return best


def _spot(x: float, y: float, size: tuple[float, float], far: bool) -> Spot:
    width, height = size
    return Spot(x, y, far, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))


def overlaps(one: Box, other: Box) -> bool:
    """Whether two boxes share any area."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _inside(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]
