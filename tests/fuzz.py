"""Seeded damage to files: bits, runs, lengths, slices, and for text its words; containers are opened first."""

from __future__ import annotations

import contextlib
import io
import random
import re
import sqlite3
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

Damage = Callable[[bytes, random.Random], bytes]

LENGTHS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    *("-1", "0", "1e999", "-1e999", "nan", ".inf", "null", "true", "[]", "{}", '""', "99999999999999999999", "1.5"),
    *(
        "9" * 5000,
        "0x" + "f" * 5000,
        "[" * 2000,
        "{a: " * 500,
        "a" * 20_000,
        "*a",
        "&a",
        "<<",
        "!!int ''",
        "!!float ''",
    ),
    *("!!bool x", "!!timestamp x", "!!python/object/apply:os.system [true]", '"\\ud800"', "\\u0000", "\0", "\ufeff"),
    *("\x1b[2J", "ÿ", "- ", ": ", "\n", "\t", "'", '"', "2001-01-01", "1:2:3", "__import__('os')", "10L", "..", "/"),
)


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """Turn one to sixteen bits."""
    bits = bytearray(data)
    for _ in range(rng.randint(1, 16)):
        bits[rng.randrange(len(bits))] ^= 1 << rng.randrange(8)
    return bytes(bits)


def replace_run(data: bytes, rng: random.Random) -> bytes:
    """Put zeros, ones or noise in the place of a run of bytes."""
    start, length = _run(data, rng)
    filling = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return data[:start] + filling + data[start + length :]


def truncate(data: bytes, rng: random.Random) -> bytes:
    """Leave out the end."""
    return data[: rng.randrange(len(data))]


def insert(data: bytes, rng: random.Random) -> bytes:
    """Put noise in between."""
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.randbytes(rng.randint(1, 64)) + data[place:]


def duplicate(data: bytes, rng: random.Random) -> bytes:
    """Put a copy of a slice somewhere else."""
    start, length = _run(data, rng)
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[start : start + length] + data[place:]


def remove(data: bytes, rng: random.Random) -> bytes:
    """Leave out a slice."""
    start, length = _run(data, rng)
    return data[:start] + data[start + length :]


def set_length(data: bytes, rng: random.Random) -> bytes:
    """Write an extreme whole number where a length might stand: the head of the file more often than the rest."""
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice((*LENGTHS, len(data) - 1, len(data), len(data) + 1)) % 2 ** (8 * size)
    place = rng.choice((0, 8, rng.randrange(min(len(data), 128)), rng.randrange(len(data))))
    return data[:place] + value.to_bytes(size, rng.choice(("little", "little", "big"))) + data[place + size :]


def swap_words(data: bytes, rng: random.Random) -> bytes:
    """Exchange two words of a text, or put one that is seldom expected."""
    words = re.findall(r"\w+|\s+|[^\w\s]", data.decode("utf-8", "surrogateescape"))
    if not words:
        return data
    first, second = rng.randrange(len(words)), rng.randrange(len(words))
    if rng.random() < 0.5:
        words[first], words[second] = words[second], words[first]
    else:
        words[first] = rng.choice(WORDS)
    return "".join(words).encode("utf-8", "surrogateescape")


def swap_lines(data: bytes, rng: random.Random) -> bytes:
    """Exchange, repeat or drop lines of a text."""
    lines = data.splitlines(keepends=True) or [b""]
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    how = rng.randrange(3)
    if how == 0:
        lines[first], lines[second] = lines[second], lines[first]
    elif how == 1:
        lines.insert(first, lines[second])
    else:
        del lines[first]
    return b"".join(lines)


BINARY: Sequence[Damage] = (flip_bits, replace_run, truncate, insert, duplicate, remove, set_length)
TEXT: Sequence[Damage] = (*BINARY, *(swap_words,) * 7, swap_lines, swap_lines)


def damage(data: bytes, rng: random.Random, kinds: Sequence[Damage] = BINARY) -> bytes:
    """Damage a file once or a few times; nothing is left of it only if that is what came out."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(kinds)(data, rng) if data else data
    return data


def damage_text(data: bytes, rng: random.Random) -> bytes:
    """Damage a text, mostly word by word."""
    return damage(data, rng, TEXT)


def damage_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Damage a safetensors file, half of the time the words of its header, with a length that fits."""
    if rng.random() < 0.4:
        return damage(data, rng)
    size = int.from_bytes(data[:8], "little")
    header = damage(data[8 : 8 + size], rng, (swap_words, swap_words, flip_bits, duplicate, remove))
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def damage_npy(data: bytes, rng: random.Random) -> bytes:
    """Damage a .npy file, half of the time the words of its header, with a length that fits."""
    if rng.random() < 0.4:
        return damage(data, rng)
    size = int.from_bytes(data[8:10], "little")
    header = damage(data[10 : 10 + size], rng, (swap_words, swap_words, flip_bits, duplicate, remove))[:60_000]
    return data[:8] + len(header).to_bytes(2, "little") + header + data[10 + size :]


def damage_npz(data: bytes, rng: random.Random) -> bytes:
    """Damage a .npz file, half of the time inside its members, with sums that fit."""
    if rng.random() < 0.4:
        return damage(data, rng)
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        warnings.simplefilter("ignore")  # of a name that is there twice
        for member in old.infolist():
            how = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            new.writestr(_name(member.filename, rng), damage_npy(old.read(member), rng), how)
    return stream.getvalue()


def damage_database(data: bytes, rng: random.Random, scratch: Path) -> bytes:
    """Damage an SQLite file, half of the time the values in its rows, so that it is still a database."""
    if rng.random() < 0.4:
        return damage(data, rng)
    scratch.write_bytes(data)
    with contextlib.closing(sqlite3.connect(scratch)) as database, contextlib.suppress(sqlite3.Error):
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = rng.choice([name for name in tables if not name.startswith("sqlite_")])
        columns = [row[1] for row in database.execute(f"PRAGMA table_info('{table}')")]
        column = rng.choice(columns)
        rows = database.execute(f'SELECT rowid, "{column}" FROM "{table}"').fetchall()
        if rows:
            place, value = rng.choice(rows)
            with database:
                database.execute(f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = ?', (_value(value, rng), place))
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return scratch.read_bytes()


def damaged(seeds: Sequence[bytes], how: Damage, count: int, seed: int) -> Iterator[bytes]:
    """Give count damaged copies of valid files; the same seed gives the same ones."""
    rng = random.Random(seed)
    for _ in range(count):
        yield how(rng.choice(seeds), rng)


def _run(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, rng.randint(1, min(len(data) - start, rng.choice((1, 8, 64, 4096))))


def _name(name: str, rng: random.Random) -> str:
    return rng.choice((name, name, name, f"../../{name}", f"/{name}", f"a/b/{name}", f"\x1b[2J{name}", "same.npy"))


def _value(value: object, rng: random.Random) -> object:
    """Another value of a database's column, of the same type or of another."""
    if isinstance(value, bytes) and rng.random() < 0.8:
        return damage_safetensors(value, rng) if len(value) > 8 else rng.randbytes(16)
    if isinstance(value, str) and rng.random() < 0.8:
        return damage_text(value.encode(), rng).decode("utf-8", "replace")
    return rng.choice((None, -1, 0, 2**62, 1.5, float("inf"), "", "x", b"", b"\xff", "{}", "[]", "9" * 5000))
