"""Logging of a long run: log.jsonl, TensorBoard summaries, and a progress bar with the remaining time."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from scarlet_tf.committed import IncompleteError, read_committed, write_committed
from scarlet_tf.files import naming, write_atomically
from scarlet_tf.paths import as_path
from scarlet_tf.progress import progress

_LOG, _COPY = "log.jsonl", ".log.jsonl"


class RunLog:
    """Context manager that logs a run of `total_steps` steps, which starts or resumes at `start_step`.

    A resumed run drops the lines of log.jsonl after `start_step`, because it repeats these steps.

    Remote files cannot be appended to. For a remote run directory the log is written to a temporary folder, and
    `publish` uploads it.

    Args:
        directory: the run directory.
        description: label of the progress bar.
    """

    def __init__(self, directory, *, total_steps: int, start_step: int = 0, description: str = "") -> None:
        self.directory = as_path(directory)
        self.total_steps = total_steps
        self.start_step = start_step
        self.description = description

    def __enter__(self) -> RunLog:
        import tensorflow as tf

        self._aside = None
        if isinstance(self.directory, Path):
            self._folder = self.directory
        else:
            self._aside = tempfile.TemporaryDirectory()
            self._folder = Path(self._aside.name)
            self._fetch()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._drop_lines_after_start()
        self._summary = tf.summary
        self._writer = tf.summary.create_file_writer(str(self._folder / "tensorboard"))
        self._bar = progress(
            label=self.description, unit="step", total=self.total_steps, initial=self.start_step, leave=True
        )
        return self

    def __exit__(self, kind, *_) -> None:
        self._bar.close()
        first_said = contextlib.suppress(OSError) if kind else contextlib.nullcontext()
        with self._aside or contextlib.nullcontext(), first_said:
            with self._naming_tensorboard():
                self._writer.close()
            self.publish()

    def publish(self) -> None:
        """Upload the log and the TensorBoard summaries to a remote run directory; a local one has them already."""
        if not self._aside:
            return
        with self._naming_tensorboard():
            self._writer.flush()
        log = self._folder / _LOG
        # Also an empty log: its marker tells that the run began here, see `checkpoints.check_markers`.
        content = log.read_bytes() if log.exists() else b""
        write_committed(self.directory / _COPY, content)  # one of the two is whole whenever a write is cut short
        write_atomically(self.directory / _LOG, content)
        for path in self._folder.glob("tensorboard/*"):
            write_atomically(self.directory / "tensorboard" / path.name, path.read_bytes())

    def _fetch(self) -> None:
        """Copy the log of a remote run directory, if it has one, to the temporary folder."""
        try:
            content = read_committed(self.directory / _COPY)
        except (FileNotFoundError, IncompleteError):
            if not (earlier := self.directory / _LOG).exists():
                return
            content = earlier.read_bytes()
        (self._folder / _LOG).write_bytes(content)

    def advance(self, step: int, shown: Mapping[str, float] | None = None) -> None:
        """Move the progress bar to `step` finished steps, and show these values beside it."""
        if shown:
            self._bar.set_postfix({name: f"{value:.4g}" for name, value in shown.items()}, refresh=False)
        self._bar.update(step - self._bar.n)

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars after `step` finished steps to log.jsonl and TensorBoard."""
        values = {name: float(value) for name, value in scalars.items()}
        path = self._folder / _LOG
        with naming(path), open(path, "a") as file:
            file.write(json.dumps({"step": int(step), "time": round(time.time(), 3), **values}) + "\n")
        with self._naming_tensorboard(), self._writer.as_default(step=int(step)):
            for name, value in values.items():
                self._summary.scalar(name, value)

    @contextlib.contextmanager
    def _naming_tensorboard(self) -> Iterator[None]:
        """Turn TensorFlow's write errors into an OSError that names the folder."""
        import tensorflow as tf

        try:
            yield
        except tf.errors.OpError as error:
            known = {os.strerror(code).lower(): code for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)}
            code = next((known[text] for text in known if text in str(error).lower()), errno.EIO)
            raise OSError(code, os.strerror(code), str(self.directory / "tensorboard")) from error

    def _drop_lines_after_start(self) -> None:
        path = self._folder / _LOG
        if not path.exists():
            return
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= self.start_step]
        write_atomically(path, "".join(line + "\n" for line in kept))


def _step_of(line: str) -> float:
    """Return the step of a line; infinity for a line that a kill cut short."""
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError):
        return float("inf")
