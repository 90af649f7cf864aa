"""Settings that all tests share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# What steers memprog on the machine of whoever runs the tests must not steer them.
os.environ["XDG_CONFIG_HOME"] = str(Path(__file__).parent / "no-such-folder")
for variable in [name for name in os.environ if name.startswith("MEMPROG_")]:
    del os.environ[variable]

# A pool of threads in each of hundreds of short processes costs a quarter of their time and serves none of them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Where this process was started with interrupts ignored, as in the background of a script, its children must not be.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# On a busy machine one example may take long; that says nothing about the code.
settings.register_profile("memprog", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("memprog")


@pytest.fixture(autouse=True, scope="session")
def _locks_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep tests out of the folder where this machine's real chips are locked; so do the processes they start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEMPROG_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield
