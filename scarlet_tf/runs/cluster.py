"""Connections between the processes of a cluster: workers wait for each other, and notice when one is lost.

TensorFlow does neither well enough. While it waits for workers it handles no signal and does not notice that one was
killed, and in the first step, which is traced for minutes, it notices only at the end.

So every worker keeps one TCP connection to the chief. The chief accepts it on its own address in TF_CONFIG, which
TensorFlow takes over afterwards, so that no further port is needed. The kernel closes the connections of a process that
ends in any way; keepalive probes detect a machine that cannot be reached, within 30 seconds.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from scarlet_tf.runs.tf_config import parse_tf_config

TRY_AGAIN_EXIT_CODE = 75  # EX_TEMPFAIL of sysexits.h: a temporary failure

_PATIENCE = 600  # seconds to wait for workers that have not started
_REMINDER = 30  # seconds between messages while waiting
_CHECK_EVERY = 10  # seconds
_GRACE = 45  # seconds in which a process may save after another one was stopped, as SIGTERM often stops all
_VERDICT = 5  # seconds in which a closed connection follows an error of TensorFlow

_HELLO = struct.Struct(">8s16si")  # mark, digest of the cluster, index of the worker
_MARK = b"scarlet1"
_MESSAGE = struct.Struct(">i")  # one of the following, or the index of a lost worker
_PRESENT, _START, _BYE, _STOPPED, _OTHER_CLUSTER = -1, -2, -3, -4, -5


class WorkerLostError(ConnectionError):
    """Error for another worker that ended or cannot be reached; the message says how to resume."""


class Cluster:
    """The processes that TF_CONFIG names, seen from one of them.

    Creating one contacts the chief, or as the chief accepts contacts: the others notice from then on if this process
    ends. Then call `gather`, start TensorFlow, and call `meet` and `watch`.

    Args:
        settings: the content of TF_CONFIG, as `parse_tf_config` returns it.

    Raises:
        OSError: on the chief, if its port is in use.
        WorkerLostError: if the chief does not start within 10 minutes.

    Attributes:
        addresses: "HOST:PORT" of every worker, the chief's first.
        index: of this process in `addresses`.
    """

    def __init__(self, settings: Mapping) -> None:
        jobs, task = settings["cluster"], settings["task"]
        chiefs = list(jobs.get("chief", []))
        self.addresses = [*chiefs, *jobs.get("worker", [])]
        self.index = task["index"] + (len(chiefs) if task["type"] == "worker" else 0)
        self._digest = hashlib.sha256(json.dumps(self.addresses).encode()).digest()[:16]
        self._peers: dict[int, socket.socket] = {}  # by index: all others on the chief, the chief elsewhere
        self._present: set[int] = set()  # on the chief, those that have called `meet`
        self._telling = threading.Lock()  # held by the one that tells of a lost worker
        self._checking = threading.Lock()  # held while a worker is asked for an answer
        self._watching = False
        self._farewell = _BYE
        if self.index == 0:
            self._others = set(range(1, len(self.addresses)))
            self._listener = _listen(self.addresses[0], backlog=len(self.addresses))
        else:
            self._peers[0] = self._contact_chief()
        print(f"waiting for all {len(self.addresses)} workers in TF_CONFIG", file=sys.stderr)

    def gather(self) -> None:
        """On the chief, wait for contact with all others, and free the port for TensorFlow; elsewhere, do nothing.

        Raises:
            WorkerLostError: if a worker is lost meanwhile, or does not start within 10 minutes.
        """
        if self.index == 0:
            with self._listener:
                self._wait_while(lambda: self._others - set(self._peers))

    def meet(self) -> None:
        """Wait until all have called this.

        Raises:
            WorkerLostError: if a worker is lost meanwhile, or does not come within 10 minutes.
            ValueError: if this worker's TF_CONFIG lists other workers than the chief's.
        """
        if self.index == 0:
            self._wait_while(lambda: self._others - self._present)
            self._tell(_START)
            return
        self._tell(_PRESENT)
        message = _receive(self._peers[0], _MESSAGE)
        if message == (_OTHER_CLUSTER,):
            raise ValueError(f"TF_CONFIG of {self._name(self.index)} lists other workers than that of {self._name(0)}")
        if message != (_START,):
            raise WorkerLostError(self._describe(message[0] if message else 0))

    def watch(self, answers: Callable[[int], bool]) -> None:
        """From now on, if a worker is lost, print one line and end this process with code 75.

        Args:
            answers: returns whether the worker with this index answers, after up to 40 seconds; asked every 10 seconds.
        """
        self._watching = True
        atexit.register(self._leave)
        threading.Thread(target=self._watch, args=(answers,), daemon=True).start()

    def await_verdict(self) -> None:
        """Let the watch, which knows who was lost, end this process; return if it sees no loss within seconds."""
        if self._watching:
            time.sleep(_VERDICT)
            self._telling.acquire()  # the caller tells

    def abandon(self) -> None:
        """Make the others count this process as lost from now on."""
        self._telling.acquire(blocking=False)  # the reason is told elsewhere
        atexit.unregister(self._leave)
        for peer in self._peers.values():
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_WR)

    def stop(self) -> None:
        """Make the others count this process as lost some time after its end, when they have had time to stop too."""
        self._farewell = _STOPPED

    def _contact_chief(self) -> socket.socket:
        deadline, reminder = time.monotonic() + _PATIENCE, 0.0
        while True:
            try:
                chief = socket.create_connection(_split(self.addresses[0]), timeout=5)
                chief.sendall(_HELLO.pack(_MARK, self._digest, self.index))
                return _kept_alive(chief)
            except OSError as error:  # not started yet, or its name is not known yet
                if time.monotonic() > deadline:
                    raise WorkerLostError(f"{self._name(0)} did not start within {_PATIENCE} s: {error}") from error
            if time.monotonic() > reminder:
                print(f"waiting for {self._name(0)}", file=sys.stderr)
                reminder = time.monotonic() + _REMINDER
            time.sleep(0.2)

    def _wait_while(self, missing: Callable[[], set[int]]) -> None:
        """On the chief, accept contacts and hear who is present while any are missing."""
        deadline = time.monotonic() + _PATIENCE
        with selectors.DefaultSelector() as ready:
            for index, peer in self._peers.items():
                ready.register(peer, selectors.EVENT_READ, index)
            if self._listener.fileno() >= 0:
                ready.register(self._listener, selectors.EVENT_READ, 0)
            while absent := sorted(missing()):
                events = ready.select(timeout=_REMINDER)
                names = ", ".join(map(self._name, absent))
                if not events:
                    print(f"waiting for {names}", file=sys.stderr)
                if time.monotonic() > deadline:
                    self._tell(absent[0])
                    raise WorkerLostError(f"did not start within {_PATIENCE} s: {names}")
                for key, _ in events:
                    if key.data == 0:
                        if index := self._accept():
                            ready.register(self._peers[index], selectors.EVENT_READ, index)
                    elif _receive(key.fileobj, _MESSAGE) == (_PRESENT,):
                        self._present.add(key.data)
                    else:
                        self._tell(key.data)
                        raise WorkerLostError(self._describe(key.data))

    def _accept(self) -> int | None:
        """Accept a connection and return the index of its worker; None for one of another cluster or program."""
        peer, _ = self._listener.accept()
        peer.settimeout(5)
        mark, digest, index = _receive(peer, _HELLO) or (None, None, None)
        if mark == _MARK and digest == self._digest and index in self._others - set(self._peers):
            self._peers[index] = _kept_alive(peer)
            return index
        if mark == _MARK:
            _send(peer, _OTHER_CLUSTER)
        peer.close()
        return None

    def _watch(self, answers: Callable[[int], bool]) -> None:
        with selectors.DefaultSelector() as ready:
            for index, peer in self._peers.items():
                ready.register(peer, selectors.EVENT_READ, index)
            while ready.get_map():
                events = ready.select(timeout=_CHECK_EVERY)
                for key, _ in events:
                    message = _receive(key.fileobj, _MESSAGE)
                    if message in ((_BYE,), (_STOPPED,)):
                        ready.unregister(key.fileobj)
                        if message == (_STOPPED,):
                            self._end_later(key.data)
                    else:
                        self._end(message[0] if message else key.data)
                if not events:
                    for key in list(ready.get_map().values()):
                        with self._checking:
                            if not answers(key.data):
                                if ready.select(timeout=0):  # it may just have said that it is done
                                    break
                                self._end(key.data)

    def _end(self, lost: int) -> None:
        """Tell the others and the user that a worker was lost, and end this process."""
        with self._telling:
            self._tell(lost)
            print(f"{os.path.basename(sys.argv[0])}: {self._describe(lost)}", file=sys.stderr, flush=True)
            # Nothing else runs at the end: TensorFlow would wait for the lost worker.
            os._exit(TRY_AGAIN_EXIT_CODE)

    def _end_later(self, lost: int) -> None:
        timer = threading.Timer(_GRACE, self._end, [lost])
        timer.daemon = True
        timer.start()

    def _leave(self) -> None:
        """Tell the others that this process is done."""
        self._tell(self._farewell)
        self._checking.acquire()  # what answers may not be there any more

    def _tell(self, message: int) -> None:
        for peer in self._peers.values():
            _send(peer, message)

    def _describe(self, lost: int) -> str:
        return f"{self._name(lost)} was lost: start all workers again, or another number, to resume from what is saved"

    def _name(self, index: int) -> str:
        return f"worker {index} ({self.addresses[index]})" if index in range(len(self.addresses)) else "a worker"


def _listen(address: str, *, backlog: int) -> socket.socket:
    dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual else socket.AF_INET
    try:
        return socket.create_server(("", _split(address)[1]), family=family, backlog=backlog, dualstack_ipv6=dual)
    except OSError as error:
        raise OSError(f"cannot listen on {address}, worker 0 in TF_CONFIG: {os.strerror(error.errno)}") from error


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _kept_alive(peer: socket.socket) -> socket.socket:
    """Return a connection that breaks if the other machine does not answer for 30 seconds."""
    peer.settimeout(None)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            peer.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return peer


def _send(peer: socket.socket, message: int) -> None:
    with contextlib.suppress(OSError):  # if it has ended, whoever reads from it notices
        peer.sendall(_MESSAGE.pack(message))


def _receive(peer: socket.socket, form: struct.Struct) -> tuple | None:
    """Return what was sent in this form; None if the connection is closed or broken."""
    try:
        received = peer.recv(form.size, socket.MSG_WAITALL)
    except OSError:
        return None
    return form.unpack(received) if len(received) == form.size else None


_joined: Cluster | None = None


def join_cluster() -> Cluster | None:
    """Return the cluster that TF_CONFIG names, contacted at the first call; None if this process is alone in it.

    Call it before TensorFlow is imported, so that the others notice early if this process is killed.

    Raises:
        OSError, WorkerLostError: see `Cluster`.
    """
    global _joined
    settings = parse_tf_config(os.environ["TF_CONFIG"])
    if _joined is None and sum(map(len, settings["cluster"].values())) > 1:
        from scarlet_tf.progress import name_process

        _joined = Cluster(settings)
        name_process(f"worker {_joined.index}")
    return _joined


def await_verdict() -> None:
    """See `Cluster.await_verdict`; return at once if this process is in no cluster."""
    if _joined:
        _joined.await_verdict()


@contextlib.contextmanager
def telling_others() -> Iterator[None]:
    """Tell the other workers of an error in the block at once, and of a stop by SIGTERM or Ctrl-C at the end."""
    try:
        yield
    except Exception:
        if _joined:
            _joined.abandon()
        raise
    except BaseException:
        if _joined:
            _joined.stop()
        raise
