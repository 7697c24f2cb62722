"""The archive of a search, an SQLite file: every evaluated model, every generation, and the state to resume from.

Each generation is one transaction, so earlier generations survive a killed process or a full disk. SQLite has no
checksums, so each generation stores a digest of its rows, which is checked when the file is opened.

An archive that is being written has a write-ahead log (-wal and -shm files). The log is not flushed to disk with every
generation, which took as long as everything else together. A power failure can therefore lose the last generations,
but leaves the earlier ones intact; a resumed search repeats the lost ones exactly. Closing the archive leaves one file.
The log of a killed process is merged when the archive is opened again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from scarlet_tf.arch import SearchSpace
from scarlet_tf.differences import name_differences
from scarlet_tf.search.constrained import Evaluated
from scarlet_tf.search.records import Lineage, Members, Models, Summary

APPLICATION_ID = 0x5343_4C54  # "SCLT": marks the file as ours
VERSION = 1

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE models (
    id INTEGER PRIMARY KEY, genome TEXT NOT NULL UNIQUE, accuracy REAL NOT NULL, madds INTEGER NOT NULL,
    params INTEGER NOT NULL, extra TEXT NOT NULL, feasible INTEGER NOT NULL, generation INTEGER NOT NULL,
    mother INTEGER, father INTEGER, operator TEXT NOT NULL, seed INTEGER NOT NULL, evaluated_at REAL NOT NULL,
    evaluator TEXT NOT NULL
);
CREATE INDEX models_of_generation ON models (generation);
CREATE TABLE populations (
    generation INTEGER, position INTEGER, model INTEGER NOT NULL, rank INTEGER NOT NULL, crowding REAL NOT NULL,
    PRIMARY KEY (generation, position)
);
CREATE TABLE generations (
    generation INTEGER PRIMARY KEY, summary TEXT NOT NULL, mutators TEXT NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE picks (position INTEGER PRIMARY KEY, model INTEGER NOT NULL);
"""


GO_ON = "use the same settings, or another output folder"


class ArchiveError(ValueError):
    """Error for an archive that cannot be read or written; the message is one line and starts with the path."""


class Archive:
    """An open archive, as a context manager; made by `open_archive` for a search and by `read_archive` for reading.

    Attributes:
        path: the file; ":memory:" for an archive in memory.
        identity: the search it belongs to, see `open_archive`.
    """

    def __init__(self, path: str, connection: sqlite3.Connection, identity: dict):
        self.path, self.identity, self._connection = path, identity, connection

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        # Leaving WAL mode merges the log into the file, which can then be copied alone and opened on read-only media.
        # If another process has the archive open, or the disk is full, the log stays, and nothing is lost.
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()

    @property
    def last_generation(self) -> int:
        """Number of the last generation; -1 if there is none."""
        return self._rows("SELECT COALESCE(MAX(generation), -1) FROM generations")[0][0]

    def models(self, where: str = "1", parameters: tuple = ()) -> Models:
        """Return the evaluated models in order of evaluation: all, or those that meet an SQL condition on `models`."""
        query = f"SELECT id, genome, accuracy, madds, params, extra FROM models WHERE {where} ORDER BY id"
        return _models(
            self._rows(query, parameters), num_layers=SearchSpace.from_dict(self.identity["space"]).num_layers
        )

    def members(self, generation: int) -> Members:
        """Return the population of a generation in stored order; raise ArchiveError if there is no such generation."""
        rows = self._rows(
            "SELECT m.id, genome, accuracy, madds, params, extra, rank, crowding FROM populations p "
            "JOIN models m ON m.id = p.model WHERE p.generation = ? ORDER BY position",
            (generation,),
        )
        if not rows:
            raise ArchiveError(f"{self.path}: no generation {generation}: it ends at {self.last_generation}")
        return Members(
            models=_models(rows, num_layers=SearchSpace.from_dict(self.identity["space"]).num_layers),
            ranks=np.array([row[6] for row in rows], np.int64),
            crowding=np.array([row[7] for row in rows], np.float64),
        )

    def summary(self, generation: int) -> Summary:
        text = self._rows("SELECT summary FROM generations WHERE generation = ?", (generation,))[0][0]
        return Summary(**json.loads(text))

    def operators(self, generation: int) -> dict[str, int]:
        """Return how many of the models evaluated in a generation each operator proposed."""
        query = "SELECT operator, COUNT(*) FROM models WHERE generation = ? GROUP BY operator ORDER BY operator"
        return dict(self._rows(query, (generation,)))

    def lineage(self) -> Lineage:
        """Return parents and operators of all evaluated models, in order of evaluation."""
        rows = self._rows("SELECT COALESCE(mother, -1), COALESCE(father, -1), operator FROM models ORDER BY id")
        mothers, fathers, operators = zip(*rows, strict=True) if rows else ((), (), ())
        return Lineage(
            mothers=np.array(mothers, np.int64), fathers=np.array(fathers, np.int64), operators=tuple(operators)
        )

    def mutators(self, generation: int) -> str:
        """Return the mutators' states after the last generation, as JSON; "" for earlier ones, to save space."""
        return self._rows("SELECT mutators FROM generations WHERE generation = ?", (generation,))[0][0]

    def picks(self) -> np.ndarray:
        """Return the ids of the picked models, (k,) int64; empty before the search has ended."""
        return np.array([row[0] for row in self._rows("SELECT model FROM picks ORDER BY position")], np.int64)

    def log_ahead(self) -> None:
        """Turn on the write-ahead log, so that commits need not wait for the disk; to be called before writing."""
        with _explained(self.path):
            # On file systems without support SQLite keeps another mode, which needs full synchronisation.
            if self._connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
                self._connection.execute("PRAGMA synchronous = NORMAL")

    def commit(self, evaluated: Evaluated, members: Members, *, summary: Summary, mutators: str) -> None:
        """Add a generation in one transaction; its models get the next free ids.

        Args:
            evaluated: the models evaluated in this generation.
            members: its population.
            summary: its summary, including its number.
            mutators: the mutators' states as JSON.

        Raises:
            ArchiveError: if it cannot be written, such as on a full disk; earlier generations are kept.
        """
        generation, seed = summary.generation, self.identity["settings"]["seed"]
        first = self._rows("SELECT COALESCE(MAX(id), -1) + 1 FROM models")[0][0]
        values = {name: column.tolist() for name, column in evaluated.values.items()}
        extra = [name for name in values if name not in ("accuracy", "madds", "params")]
        genomes, parents = evaluated.genomes.tolist(), evaluated.parents.tolist()
        feasible, times = evaluated.feasible.tolist(), evaluated.evaluated_at.tolist()
        models = [
            (
                first + row,
                ",".join(map(str, genome)),
                values["accuracy"][row],
                values["madds"][row],
                values["params"][row],
                json.dumps({name: float(values[name][row]) for name in extra}),
                int(feasible[row]),
                generation,
                *(parent if parent >= 0 else None for parent in parents[row]),
                str(evaluated.operators[row]),
                seed,
                times[row],
                self.identity["evaluator"],
            )
            for row, genome in enumerate(genomes)
        ]
        columns = zip(members.models.ids, members.ranks, members.crowding, strict=True)
        population = [(generation, at, int(i), int(rank), float(d)) for at, (i, rank, d) in enumerate(columns)]
        row = (generation, json.dumps(dataclasses.asdict(summary)), mutators)
        with _explained(self.path), self._connection:
            self._connection.execute("UPDATE generations SET mutators = '' WHERE generation = ?", (generation - 1,))
            self._connection.execute("INSERT INTO generations VALUES (?, ?, ?, '')", row)
            self._connection.executemany(f"INSERT INTO models VALUES ({', '.join('?' * 14)})", models)
            self._connection.executemany("INSERT INTO populations VALUES (?, ?, ?, ?, ?)", population)
            for changed in (generation - 1, generation):
                digest = _digest(self._connection, self.identity, _GENERATION, (changed,))
                self._connection.execute("UPDATE generations SET digest = ? WHERE generation = ?", (digest, changed))
            if self._connection.execute("DELETE FROM picks").rowcount:  # the search was given more generations
                _write_picks_digest(self._connection, self.identity)

    def write_picks(self, ids: np.ndarray) -> None:
        """Replace the picked models by those with these ids."""
        with _explained(self.path), self._connection:
            self._connection.execute("DELETE FROM picks")
            self._connection.executemany("INSERT INTO picks VALUES (?, ?)", [(k, int(i)) for k, i in enumerate(ids)])
            _write_picks_digest(self._connection, self.identity)

    def _rows(self, query: str, parameters: tuple = ()) -> list[tuple]:
        with _explained(self.path):
            return self._connection.execute(query, parameters).fetchall()


def open_archive(path: str | os.PathLike | None, *, identity: Mapping[str, object]) -> Archive:
    """Open the archive of a search for writing; create it if it does not exist.

    Args:
        path: the file; None: in memory.
        identity: JSON values "space", "evaluator" and "settings", which determine the course of the search.

    Raises:
        ArchiveError: if the file is damaged, not an archive, of another version, or belongs to another search.
    """
    identity = json.loads(json.dumps(identity))
    if path is None:
        connection = sqlite3.connect(":memory:")
        _create(connection, identity)
        return Archive(":memory:", connection, identity)
    if not os.path.exists(path):
        _create_file(Path(path), identity)
    archive = read_archive(path)
    with contextlib.ExitStack() as stack:
        stack.push(archive)
        if difference := name_differences(archive.identity, identity):
            raise ArchiveError(f"{path}: belongs to another search: its {difference}; {GO_ON}")
        archive.log_ahead()
        stack.pop_all()
    return archive


def read_archive(path: str | os.PathLike) -> Archive:
    """Open an existing archive of any search; raise ArchiveError as `open_archive` does, or if it does not exist."""
    path = Path(path)
    if not path.is_file():
        raise ArchiveError(f"{path}: no such archive file")
    with contextlib.ExitStack() as stack:
        with _explained(path):
            # "rw" does not create a file, and opens a read-only one for reading.
            connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=30)
            stack.callback(connection.close)
            identity = _checked_identity(path, connection)
        stack.pop_all()
    return Archive(str(path), connection, identity)


def _create_file(path: Path, identity: dict) -> None:
    """Create an empty archive, unless another process has created it in the meantime."""
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Under a temporary name until it is complete, so that a killed process leaves no file that looks damaged.
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as aside:
            whole = Path(aside) / path.name
            with contextlib.closing(sqlite3.connect(whole)) as connection:
                _create(connection, identity)
            with _others_waiting(path.parent):
                if path.exists():
                    return
                # SQLite would apply journals that a killed search left beside a deleted archive to the new one.
                for suffix in ("-wal", "-shm", "-journal"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
                _publish(whole, path)


@contextlib.contextmanager
def _others_waiting(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder, so that one process at a time creates an archive; a killed process releases it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _publish(whole: Path, path: Path) -> None:
    """Move a file to its final path; on file systems with hard links, an existing file is never replaced."""
    try:
        os.link(whole, path)
    except FileExistsError:
        return
    except OSError:
        os.replace(whole, path)


def _create(connection: sqlite3.Connection, identity: dict) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
    with connection:
        connection.execute("INSERT INTO meta VALUES ('identity', ?)", (json.dumps(identity),))
        _write_picks_digest(connection, identity)


def _checked_identity(path: Path, connection: sqlite3.Connection) -> dict:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise ArchiveError(f"{path}: not a search archive")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise ArchiveError(f"{path}: is of archive version {version}, this program reads version {VERSION}")
    complaint = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if complaint != "ok":
        raise ArchiveError(f"{path}: is damaged: {' '.join(complaint.split())}")
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    try:
        identity = json.loads(meta["identity"])
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ArchiveError(f"{path}: is damaged: it does not say which search it is of") from None
    if meta.get("picks") != _digest(connection, identity, _PICKS):
        raise ArchiveError(f"{path}: is damaged: its identity or its picks are not as they were written")
    stored = connection.execute("SELECT generation, digest FROM generations ORDER BY generation").fetchall()
    for expected, (generation, digest) in enumerate(stored):
        if generation != expected or digest != _digest(connection, identity, _GENERATION, (generation,)):
            raise ArchiveError(f"{path}: is damaged: generation {expected} is not as it was written")
    return identity


_PICKS = ("SELECT * FROM picks ORDER BY position",)
_GENERATION = (
    "SELECT summary, mutators FROM generations WHERE generation = ?",
    "SELECT * FROM models WHERE generation = ? ORDER BY id",
    "SELECT * FROM populations WHERE generation = ? ORDER BY position",
)


def _digest(connection: sqlite3.Connection, identity: dict, queries: tuple[str, ...], parameters: tuple = ()) -> str:
    """Return the SHA-256 of the identity and the rows that the queries return."""
    content = [connection.execute(query, parameters).fetchall() for query in queries]
    return hashlib.sha256(json.dumps([identity, content]).encode()).hexdigest()


def _write_picks_digest(connection: sqlite3.Connection, identity: dict) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('picks', ?)", (_digest(connection, identity, _PICKS),))


def _models(rows: list[tuple], *, num_layers: int) -> Models:
    genomes = np.array([row[1].split(",") for row in rows], dtype=np.int64).reshape(len(rows), num_layers)
    values = {
        "accuracy": np.array([row[2] for row in rows], np.float64),
        "madds": np.array([row[3] for row in rows], np.int64),
        "params": np.array([row[4] for row in rows], np.int64),
    }
    extra = [json.loads(row[5]) for row in rows]
    for name in extra[0] if extra else ():
        values[name] = np.array([row[name] for row in extra], np.float64)
    return Models(ids=np.array([row[0] for row in rows], np.int64), genomes=genomes, values=values)


@contextlib.contextmanager
def _explained(path: str | os.PathLike) -> Iterator[None]:
    """Raise SQLite and file errors as ArchiveError."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ArchiveError(f"{path}: is another process searching with it? ({error})") from error
    except sqlite3.OperationalError as error:
        # Errors of the sqlite3 module itself carry no name.
        if getattr(error, "sqlite_errorname", None) == "SQLITE_IOERR_SHORT_READ":
            raise ArchiveError(f"{path}: is damaged: it ends too early ({error})") from error
        raise ArchiveError(f"{path}: cannot be read or written ({error})") from error
    except sqlite3.DatabaseError as error:
        raise ArchiveError(f"{path}: is damaged or not a search archive ({error})") from error
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be written ({error.strerror})") from error
