"""Signals as wishes to stop: the first waits for the end of the batch under way, Ctrl-C twice does not wait."""

from __future__ import annotations

import _thread
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from memprog import stopping
from memprog.errors import StoppedError

_STOP_SIGNALS = ("SIGTERM", "SIGHUP", "SIGBREAK")
Action = Callable[[int, FrameType | None], None]
_WAITING = b"\nstopping at the end of this batch; once more stops at once\n"


class Wishes:
    """What signals asked for. Once ``over`` is true they are left unheard: the exit code stands."""

    def __init__(self) -> None:
        self.over = False
        self.raised: BaseException | None = None
        self._number: int = signal.SIGINT
        self._asked = False
        self._former_hook = sys.unraisablehook

    def interrupt(self, number: int, _frame: FrameType | None) -> None:
        """Stop for Ctrl-C: at the end of the batch under way, at once when asked again."""
        if not self.over:
            self._ask(number, KeyboardInterrupt())
            _tell_waiting()

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Stop for a polite request: one is enough, and more must not cut the batch or the clean-up short."""
        if not (self.over or self._asked):
            self._ask(number, StoppedError(f"stopped by {signal.Signals(number).name} before the end"))

    def swallowed(self, lost: sys.UnraisableHookArgs) -> None:
        """Ask again for an ending that was raised where Python lets nothing out, such as a finalizer."""
        if lost.exc_value is None or lost.exc_value is not self.raised:
            self._former_hook(lost)
        elif not self.over:
            self.raised, self._asked = None, False
            # From another thread, and later: here the signal would be heard before the hook is left, and be lost too.
            _thread.start_new_thread(_ask_later, (self._number,))

    def _ask(self, number: int, ending: BaseException) -> None:
        self._number, self._asked = number, True
        try:
            stopping.request(ending)
        except BaseException as raised:
            self.raised = raised
            raise


@contextlib.contextmanager
def caught(*, for_good: bool) -> Iterator[Wishes]:
    """Turn signals into wishes; afterwards they do what they did, or with ``for_good`` nothing any more."""
    wishes, former_hook = Wishes(), sys.unraisablehook
    former: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number, action in _actions(wishes).items():
            former[number] = signal.signal(number, action)
            sys.unraisablehook = wishes.swallowed
    try:
        yield wishes
    finally:
        sys.unraisablehook = former_hook
        for number, action in former.items():
            # Python takes itself down after the last statement, and would not do it quietly.
            signal.signal(number, signal.SIG_IGN if for_good else action)


def _actions(wishes: Wishes) -> dict[int, Action]:
    """Signals that are ignored stay ignored: that is what nohup, and a shell's &, ask for."""
    numbers = [getattr(signal, name) for name in _STOP_SIGNALS if hasattr(signal, name)]
    actions: dict[int, Action] = {n: wishes.stop for n in numbers if signal.getsignal(n) == signal.SIG_DFL}
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        actions[signal.SIGINT] = wishes.interrupt
    return actions


def _ask_later(number: int) -> None:
    time.sleep(0.01)
    if hasattr(signal, "pthread_kill"):  # wakes the main thread from a call it may wait in
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        _thread.interrupt_main()


def _tell_waiting() -> None:
    """Say so to a person at a terminal; written past Python's streams, which the signal may have interrupted."""
    with contextlib.suppress(OSError, ValueError):
        # Never plain 2: where a process was started without one, that may be the chip's own file.
        if sys.stderr is not None and sys.stderr.isatty():
            os.write(sys.stderr.fileno(), _WAITING)
