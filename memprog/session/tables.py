"""How the journal lies on disk: its tables, and the checksum that each row carries."""

from __future__ import annotations

import json
import zlib
from typing import Any

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE runs (run_id TEXT PRIMARY KEY, chip TEXT NOT NULL, former INTEGER NOT NULL, state TEXT NOT NULL,
    facts TEXT NOT NULL, summary TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE intents (batch_id INTEGER PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs,
    array_number INTEGER NOT NULL, kind TEXT NOT NULL, pulses INTEGER NOT NULL, checksum INTEGER NOT NULL,
    packed BLOB NOT NULL);
CREATE INDEX intents_of_run ON intents (run_id, kind, batch_id, pulses);
CREATE TABLE outcomes (batch_id INTEGER PRIMARY KEY REFERENCES intents, checksum INTEGER NOT NULL,
    packed BLOB NOT NULL);
CREATE TABLE verdicts (run_id TEXT NOT NULL REFERENCES runs, array_number INTEGER NOT NULL,
    checksum INTEGER NOT NULL, packed BLOB NOT NULL, PRIMARY KEY (run_id, array_number))
"""


def checksum_of(facts: list[Any], packed: bytes = b"") -> int:
    """CRC-32 of the columns of a row and of its blob, if it has one; against damage, not against malice."""
    return zlib.crc32(packed, zlib.crc32(json.dumps(facts, default=repr).encode()))
