"""What users did, visit by visit, cut into the histories that a sequence model reads and what followed on each."""

from __future__ import annotations

import numpy as np

from bakeoff.workloads.prepared import Array

NOTHING = -1
"""The event or visit that is none."""


class Histories:
    """Events by user, visit and item; a visit is what a user did at one moment. Items count from 1 on: 0 is padding.

    `item` and `visit` have an entry for each event; `user`, `moment`, `ordinal` (visits of the user before it), `left`
    (visits of the user after it) and `first_event` (and one more, the end) have one for each visit.
    """

    def __init__(self, user: Array, moment: Array, item: Array) -> None:
        order = np.lexsort((item, moment, user))
        user, moment = user[order], moment[order]
        starts = np.ones(len(item), dtype=bool)
        starts[1:] = (np.diff(user) != 0) | (np.diff(moment) != 0)
        self.item: Array = item[order]
        self.visit: Array = np.cumsum(starts) - 1
        self.user: Array = user[starts]
        self.moment: Array = moment[starts]
        self.first_event: Array = np.append(np.flatnonzero(starts), len(item))
        self.ordinal: Array = np.arange(len(self.user)) - np.searchsorted(self.user, self.user)
        self.left: Array = np.searchsorted(self.user, self.user, side="right") - np.arange(len(self.user)) - 1

    def before(self, visit: Array, length: int) -> Array:
        """The last `length` items of the user before each visit, padded from the left: int64 [visits, length]."""
        return self.items(self._events(self.first_event[visit], visit, length))

    def items(self, event: Array) -> Array:
        """The item of each event, 0 where there is none."""
        return np.where(event == NOTHING, 0, self.item[event])

    def windows(self, trained: Array, length: int, stride: int) -> Array:
        """Events [windows, length] that lead up to the `trained` visits (a bool each; the first ones of a user).

        A user's windows lie `stride` events apart; NOTHING fills them from the left.
        """
        last = np.flatnonzero(trained & ~np.append(trained[1:] & (np.diff(self.user) == 0), False))
        last = last[self.ordinal[last] > 0]
        known = self.first_event[last] - self.first_event[last - self.ordinal[last]]
        each = 1 + np.maximum(-(-(known - length) // stride), 0)
        back = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
        visit = np.repeat(last, each)
        return self._events(self.first_event[visit] - stride * back, visit, length)

    def next_visits(self, event: Array) -> Array:
        """The visit that follows on each event of a window, NOTHING where the event is not the last of its visit."""
        visit = self.visit[event]
        return np.where((event != NOTHING) & (event + 1 == self.first_event[visit + 1]), visit + 1, NOTHING)

    def contents(self, visit: Array) -> tuple[Array, Array]:
        """All items of the visits, as pairs of a place in `visit` and an item."""
        first, sizes = self.first_event[visit], self.first_event[visit + 1] - self.first_event[visit]
        place = np.repeat(np.arange(len(visit)), sizes)
        within = np.arange(len(place)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return place, self.item[first[place] + within]

    def _events(self, end: Array, visit: Array, length: int) -> Array:
        """The `length` events before `end`, none of them before the first of the visit's user."""
        event = end[:, None] + np.arange(-length, 0)
        return np.where(event >= self.first_event[visit - self.ordinal[visit], None], event, NOTHING)
