"""What the operator allows one invocation to spend; reaching it is no error, the run can be taken up again."""

from __future__ import annotations

import time
from collections.abc import Callable

from memprog.errors import StoppedError


class Allowance:
    """Pulses and host seconds that may still be spent; None is without bound."""

    def __init__(
        self,
        *,
        max_pulses: int | None = None,
        max_time_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_pulses, self._max_time_s, self._clock = max_pulses, max_time_s, clock
        self._start_s = clock()
        self._pulses = 0

    def spend_pulses(self, pulses: int) -> None:
        """Count pulses before they are given.

        Raises:
            StoppedError: they would be more than allowed; none of them is given.
        """
        if self._max_pulses is not None and self._pulses + pulses > self._max_pulses:
            next_batch = f"the next batch of {pulses} would exceed the {self._max_pulses} that were allowed"
            raise StoppedError(f"stopped after {self._pulses} pulses; {next_batch}")
        self._pulses += pulses

    def check_time(self) -> None:
        """Stop between two batches when the time is used up.

        Raises:
            StoppedError: it is.
        """
        if self._max_time_s is not None and self._clock() - self._start_s >= self._max_time_s:
            raise StoppedError(f"stopped after {self._max_time_s:g} s, as was asked for")
