"""The archive of a search, an SQLite file: every evaluated model, every generation, and the state to resume from.

Each generation is one transaction, so earlier generations survive a killed process or a full disk. Until then the
accuracies of its models are kept as results: each portion that the evaluator has returned is a transaction too. SQLite
has no checksums, so each generation stores a digest of its rows, which is checked when the file is opened; so do the
results.

An archive that is being written has a write-ahead log (-wal and -shm files). The log is not flushed to disk with every
generation, which took as long as everything else together. A power failure can therefore lose the last generations,
but leaves the earlier ones intact; a resumed search repeats the lost ones exactly. Closing the archive leaves one file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from scarlet_tf.arch import SearchSpace
from scarlet_tf.differences import name_differences
from scarlet_tf.paths import check_local, local_copy, nearest_path
from scarlet_tf.search.constrained import Evaluated
from scarlet_tf.search.operators import genome_key
from scarlet_tf.search.records import Lineage, Members, Models, Summary

APPLICATION_ID = 0x5343_4C54  # "SCLT": marks the file as ours
VERSION = 1
_PATIENCE = 30  # seconds to wait for another process's transaction
GO_ON = "use the same settings, or another run directory"

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
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
# Not part of the schema: older archives have no results, and get the table when a search opens them.
_RESULTS_TABLE = "CREATE TABLE IF NOT EXISTS results (genome TEXT PRIMARY KEY, accuracy REAL NOT NULL)"
_PICKS = ("SELECT * FROM picks ORDER BY position",)
_RESULTS = ("SELECT * FROM results ORDER BY genome",)
_GENERATION = (
    "SELECT summary, mutators FROM generations WHERE generation = ?",
    "SELECT * FROM models WHERE generation = ? ORDER BY id",
    "SELECT * FROM populations WHERE generation = ? ORDER BY position",
)


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
            self._connection.rollback()
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
        return self._models(self._rows(query, parameters))

    def members(self, generation: int) -> Members:
        """Return the population of a generation in stored order; raise ArchiveError if there is no such generation."""
        rows = self._rows(
            "SELECT m.id, genome, accuracy, madds, params, extra, rank, crowding FROM populations p "
            "JOIN models m ON m.id = p.model WHERE p.generation = ? ORDER BY position",
            (generation,),
        )
        if not rows:
            raise ArchiveError(f"{self.path}: has no generation {generation}; its last one is {self.last_generation}")
        ranks, crowding = zip(*(row[6:] for row in rows), strict=True)
        return Members(
            models=self._models([row[:6] for row in rows]),
            ranks=np.array(ranks, np.int64),
            crowding=np.array(crowding, np.float64),
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

    def results(self) -> dict[bytes, float]:
        """Return the accuracies of the unfinished generation's models so far, by `genome_key`."""
        rows = self._rows("SELECT genome, accuracy FROM results")
        return {genome_key(np.array(genome.split(","), np.int64)): accuracy for genome, accuracy in rows}

    def record(self, genomes: np.ndarray, accuracy: np.ndarray) -> None:
        """Add accuracies, (n,) float64, of models of the unfinished generation in one transaction.

        Raises:
            ArchiveError: if they cannot be written, such as on a full disk; earlier ones are kept.
        """
        rows = [(_text(genome), value) for genome, value in zip(genomes, accuracy.tolist(), strict=True)]
        with _explained(self.path), self._connection:
            _insert(self._connection, "results", rows)
            _sign(self._connection, self.identity, "results", _RESULTS)

    def commit(self, evaluated: Evaluated, members: Members, *, summary: Summary, mutators: str) -> None:
        """Add a generation in one transaction; its models get the next free ids, and its results are removed.

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
        accuracy, madds, params = (values.pop(name) for name in ("accuracy", "madds", "params"))
        models = [
            (
                *(first + row, _text(genome), accuracy[row], madds[row], params[row]),
                json.dumps({name: float(column[row]) for name, column in values.items()}),
                *(int(evaluated.feasible[row]), generation),
                *(parent if parent >= 0 else None for parent in parents),
                *(str(evaluated.operators[row]), seed, float(evaluated.evaluated_at[row]), self.identity["evaluator"]),
            )
            for row, (genome, parents) in enumerate(zip(evaluated.genomes, evaluated.parents.tolist(), strict=True))
        ]
        columns = zip(members.models.ids, members.ranks, members.crowding, strict=True)
        population = [(generation, at, int(i), int(rank), float(d)) for at, (i, rank, d) in enumerate(columns)]
        with _explained(self.path), self._connection:
            self._connection.execute("UPDATE generations SET mutators = '' WHERE generation = ?", (generation - 1,))
            row = (generation, json.dumps(dataclasses.asdict(summary)), mutators, "")
            _insert(self._connection, "generations", [row])
            _insert(self._connection, "models", models)
            _insert(self._connection, "populations", population)
            for changed in (generation - 1, generation):
                digest = _digest(self._connection, self.identity, _GENERATION, (changed,))
                self._connection.execute("UPDATE generations SET digest = ? WHERE generation = ?", (digest, changed))
            _replace_picks(self._connection, self.identity, [])  # the search was given more generations
            self._connection.execute("DELETE FROM results")
            _sign(self._connection, self.identity, "results", _RESULTS)

    def write_picks(self, ids: np.ndarray) -> None:
        """Replace the picked models by those with these ids."""
        with _explained(self.path), self._connection:
            _replace_picks(self._connection, self.identity, ids.tolist())

    def _rows(self, query: str, parameters: tuple = ()) -> list[tuple]:
        with _explained(self.path):
            return self._connection.execute(query, parameters).fetchall()

    def _models(self, rows: list[tuple]) -> Models:
        ids, genomes, accuracy, madds, params, extra = zip(*rows, strict=True) if rows else ((),) * 6
        others = [json.loads(text) for text in extra]
        return Models(
            ids=np.array(ids, np.int64),
            genomes=np.array([genome.split(",") for genome in genomes], np.int64).reshape(
                len(rows), SearchSpace.from_dict(self.identity["space"]).num_layers
            ),
            values={
                "accuracy": np.array(accuracy, np.float64),
                "madds": np.array(madds, np.int64),
                "params": np.array(params, np.int64),
                **{name: np.array([row[name] for row in others], np.float64) for name in (others or [{}])[0]},
            },
        )


def open_archive(path: str | os.PathLike | None, *, identity: Mapping[str, object]) -> Archive:
    """Open the archive of a search for writing; create it if it does not exist.

    Args:
        path: the file; None: in memory.
        identity: JSON values "space", "evaluator" and "settings", which determine the course of the search.

    Raises:
        ArchiveError: if the file is damaged, not an archive, of another version, or belongs to another search.
        ValueError: for a remote path.
    """
    if path is not None:
        check_local(path, why="SQLite needs a local file; `search.run.search_into` takes a remote run directory")
    identity = json.loads(json.dumps(identity))
    name = ":memory:" if path is None else str(path)
    with contextlib.ExitStack() as stack, _explained(name):
        if path is not None:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(name, timeout=_PATIENCE)
        archive = stack.enter_context(Archive(name, connection, identity))
        _create_if_empty(connection, identity)
        archive.identity = _checked_identity(name, connection)
        connection.rollback()
        if difference := name_differences(archive.identity, identity):
            raise ArchiveError(f"{name}: belongs to another search: its {difference}; {GO_ON}")
        connection.execute(_RESULTS_TABLE)
        # The log makes commits independent of the disk. Where the file system does not support it, or another process
        # is reading, the archive keeps another mode, which needs full synchronisation.
        with contextlib.suppress(sqlite3.OperationalError):
            if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal":
                connection.execute("PRAGMA synchronous = NORMAL")
        stack.pop_all()
    return archive


def read_archive(path: str | os.PathLike) -> Archive:
    """Open an existing archive of any search, as it is now, even if a search goes on writing to it.

    Raises:
        ArchiveError: as `open_archive`, or if the file does not exist.
    """
    path = local_copy(path)
    if not path.is_file():
        raise ArchiveError(f"{path}: no such archive file{nearest_path(path)}")
    with contextlib.ExitStack() as stack, _explained(path):
        # "rw" does not create a file, and opens a read-only one for reading.
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_PATIENCE)
        stack.callback(connection.close)
        identity = _checked_identity(path, connection)
        stack.pop_all()
    return Archive(str(path), connection, identity)


def _create_if_empty(connection: sqlite3.Connection, identity: dict) -> None:
    """Create the tables in one transaction: a killed process leaves an empty file, and of two processes one creates."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()[0]:
            for statement in _SCHEMA.split(";"):  # `executescript` would end the transaction first
                connection.execute(statement)
            _insert(connection, "meta", [("identity", json.dumps(identity))])
            _replace_picks(connection, identity, [])


def _checked_identity(path: str | os.PathLike, connection: sqlite3.Connection) -> dict:
    """Return the identity stored in an archive; raise ArchiveError if its content is not as it was written.

    Begins a transaction, in which all later reading sees the same content.
    """
    connection.execute("BEGIN")
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise ArchiveError(f"{path}: not a search archive")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise ArchiveError(f"{path}: has archive version {version}, this program reads version {VERSION}")
    complaint = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if complaint != "ok":
        raise ArchiveError(f"{path} is damaged: {' '.join(complaint.split())}")
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    try:
        identity = json.loads(meta["identity"])
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ArchiveError(f"{path} is damaged: it does not say which search it belongs to") from None
    if meta.get("picks") != _digest(connection, identity, _PICKS):
        raise ArchiveError(f"{path} is damaged: its settings or picks were changed")
    if "results" in meta and meta["results"] != _digest(connection, identity, _RESULTS):
        raise ArchiveError(f"{path} is damaged: its results were changed")
    stored = connection.execute("SELECT generation, digest FROM generations ORDER BY generation").fetchall()
    for expected, (generation, digest) in enumerate(stored):
        if generation != expected or digest != _digest(connection, identity, _GENERATION, (generation,)):
            raise ArchiveError(f"{path} is damaged: generation {expected} was changed")
    return identity


def _digest(connection: sqlite3.Connection, identity: dict, queries: tuple[str, ...], parameters: tuple = ()) -> str:
    """Return the SHA-256 of the identity and the rows that the queries return."""
    content = [connection.execute(query, parameters).fetchall() for query in queries]
    return hashlib.sha256(json.dumps([identity, content]).encode()).hexdigest()


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[tuple]) -> None:
    for row in rows:
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _replace_picks(connection: sqlite3.Connection, identity: dict, ids: Sequence[int]) -> None:
    connection.execute("DELETE FROM picks")
    _insert(connection, "picks", list(enumerate(ids)))
    _sign(connection, identity, "picks", _PICKS)


def _sign(connection: sqlite3.Connection, identity: dict, key: str, queries: tuple[str, ...]) -> None:
    """Store the digest of what the queries return as a row of `meta`."""
    row = (key, _digest(connection, identity, queries))
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", row)


def _text(genome: np.ndarray) -> str:
    """Return a genome as the archive holds it, such as "3,12,1"."""
    return ",".join(map(str, genome))


@contextlib.contextmanager
def _explained(path: str | os.PathLike) -> Iterator[None]:
    """Raise SQLite and file errors as ArchiveError."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        match error:
            case sqlite3.IntegrityError():
                problem = "another process has written to it"
            case sqlite3.OperationalError(sqlite_errorname="SQLITE_IOERR_SHORT_READ"):
                problem = "the file is damaged: it ends too early"
            case sqlite3.OperationalError():
                problem = "cannot be read or written"
            case sqlite3.Error():
                problem = "the file is damaged or not a search archive"
            case _:
                problem = "cannot be written"
        raise ArchiveError(f"{path}: {problem} ({error})") from error
