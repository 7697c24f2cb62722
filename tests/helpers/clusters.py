"""TF_CONFIG of workers on this machine."""

import json
import socket
from contextlib import ExitStack


def worker_environments(count: int) -> list[dict[str, str]]:
    """Return the environment variables of each of `count` workers, with free ports."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        cluster = {"worker": [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]}
    tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(count)]
    return [{"TF_CONFIG": json.dumps(task)} for task in tasks]
