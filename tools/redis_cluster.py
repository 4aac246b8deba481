"""A real Redis Cluster on the loopback: three masters, a replica each, every write on disk before it is answered.

For tests and benchmarks. Started in a folder, on free ports; nodes can be killed and started again.
"""

import contextlib
import os
import random
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tools import redis as servers

MASTERS = 3
NODES = 6
NODE_TIMEOUT = 5.0
_SLOTS = 16384
_PORTS = range(10000, 12700)
_BUS = 10000  # above these, for the cluster's own traffic
_WITH_A_REPLICA = 4  # items in a line of CLUSTER SLOTS: first and last slot, master, replica
_PATIENCE = 300.0


class RedisCluster:
    """Six nodes, running from construction to `close`. Nodes are numbered; the first three begin as masters."""

    def __init__(self, folder: Path, node_timeout: float = NODE_TIMEOUT, tls: Path | None = None) -> None:
        """`node_timeout`: seconds until a silent node counts as dead. `tls`: a folder with tls.pem, tls.key and ca.pem,
        if the nodes are to speak nothing but TLS. MissingRedis if there is no redis-server."""
        self._node_timeout = node_timeout
        self._tls = tls
        self._command = servers.find()
        self.folder = folder
        self.password = secrets.token_hex(32)
        self.ports = _free_ports(NODES)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._frozen: set[int] = set()
        try:
            for node in range(NODES):
                self._launch(node)
            for node in range(NODES):
                self._wait_for(node)
            self._join()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """What `store` in server.toml has to be."""
        scheme = "redis" if self._tls is None else "rediss"
        return f"{scheme}://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def start(self, node: int) -> None:
        """Start a node with what it has on disk, and wait until it answers."""
        self._launch(node)
        self._wait_for(node)

    def _wait_for(self, node: int) -> None:
        self._eventually(f"node {node} answers", lambda: self._ask(node, "PING"))

    def _launch(self, node: int) -> None:
        home = self.folder / str(node)
        home.mkdir(parents=True, exist_ok=True)
        port = self.ports[node]
        options = {
            "port": port,
            "cluster-port": port + _BUS,
            "bind": "127.0.0.1",
            "dir": home,
            "cluster-enabled": "yes",
            "cluster-node-timeout": int(self._node_timeout * 1000),
            "cluster-require-full-coverage": "no",
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "repl-diskless-sync-delay": 0,
            "repl-ping-replica-period": 1,  # until something was replicated to it, a replica counts for nothing
            "maxmemory-policy": "noeviction",
            "requirepass": self.password,
            "masterauth": self.password,
            "logfile": home / "log",
        }
        if self._tls is not None:
            options |= {
                "port": 0,
                "tls-port": port,
                "tls-cluster": "yes",
                "tls-replication": "yes",
                "tls-cert-file": self._tls / "tls.pem",
                "tls-key-file": self._tls / "tls.key",
                "tls-ca-cert-file": self._tls / "ca.pem",
                "tls-auth-clients": "no",
            }
        path = home / "redis.conf"  # the password does not belong onto a command line
        path.touch(mode=0o600)
        path.write_text("".join(f'{name} "{value}"\n' for name, value in options.items()))
        self._processes[node] = subprocess.Popen([*self._command, str(path)], stdout=subprocess.DEVNULL)

    def client(self, node: int) -> "Redis":
        """A connection to one node."""
        authorities = None if self._tls is None else str(self._tls / "ca.pem")
        return Redis(
            host="127.0.0.1",
            port=self.ports[node],
            password=self.password,
            socket_timeout=60.0,
            ssl=authorities is not None,
            ssl_ca_certs=authorities,
        )

    def ask_all(self, *command: str | int) -> None:
        """Have every node that runs carry out a command."""
        for node in self._processes:
            self._ask(node, *command)

    def _ask(self, node: int, *command: str | int) -> Any:
        with self.client(node) as client:
            return client.execute_command(*command)

    def kill(self, node: int) -> None:
        """kill -9."""
        process = self._processes.pop(node)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def names(self, prefix: str) -> list[bytes]:
        """All names that the masters hold and that have this in them."""
        return [name for node in self.masters() for name in self._ask(node, "KEYS", f"*{prefix}*")]

    def spent(self) -> float:
        """Seconds of processor time that all nodes have used, without those that they fork to rewrite their logs."""
        fields = (
            Path(f"/proc/{each.pid}/stat").read_text().rpartition(")")[2].split() for each in self._processes.values()
        )
        return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")  # proc(5): utime, stime

    def settle(self) -> None:
        """Wait until no node rewrites its log."""
        for node in self._processes:
            self._eventually(f"node {node} has rewritten its log", partial(self._is_settled, node))

    def rewrite(self) -> None:
        """Have the masters rewrite their logs, those that do not yet; returns once they do."""
        for node in self.masters():
            if self._is_settled(node):
                self._ask(node, "BGREWRITEAOF")

    def _is_settled(self, node: int) -> bool:
        found = self._ask(node, "INFO", "persistence")
        return not (found["aof_rewrite_in_progress"] or found["aof_rewrite_scheduled"])

    def memory(self) -> int:
        """Bytes of memory that the masters use for data."""
        total = 0
        for node in self.masters():
            with self.client(node) as client:
                total += int(client.info("memory")["used_memory_dataset"])
        return total

    def freeze_replicas(self) -> None:
        """Let no replica go on (SIGSTOP)."""
        self._frozen = set(self._processes) - set(self.masters())
        for node in self._frozen:
            self._processes[node].send_signal(signal.SIGSTOP)

    def thaw_replicas(self) -> None:
        """Let the frozen ones go on."""
        for node in self._frozen:
            self._processes[node].send_signal(signal.SIGCONT)
        self._frozen = set()

    def set_node_timeout(self, seconds: float) -> None:
        """Until a silent node counts as dead, from now on; a node that is started later has it too."""
        self._node_timeout = seconds
        self.ask_all("CONFIG", "SET", "cluster-node-timeout", int(seconds * 1000))

    def heal(self) -> None:
        """Bring back all that was frozen or killed."""
        self.thaw_replicas()
        for node in set(range(NODES)) - set(self._processes):
            self.start(node)
        self.wait_until_copied()

    def masters(self) -> list[int]:
        """The nodes that are masters and alive."""
        return [node for node in self._processes if self._ask(node, "ROLE")[0] == b"master"]

    def copied(self) -> bool:
        """Whether all six run, serve every slot, and know of three masters with a live replica each."""
        if len(self._processes) < NODES:
            return False
        for node in self._processes:
            if b"cluster_state:ok" not in self._ask(node, "CLUSTER", "INFO"):
                return False
            if any(len(each) < _WITH_A_REPLICA for each in self._ask(node, "CLUSTER", "SLOTS")):
                return False
            role = self._ask(node, "ROLE")
            if role[0] == b"slave" and role[3] != b"connected":
                return False
        return True

    def wait_until_copied(self) -> None:
        """Until `copied`."""
        self._eventually("every master has a replica", self.copied)

    def _join(self) -> None:
        share = _SLOTS // MASTERS + 1
        for node in range(NODES):
            self._ask(node, "CLUSTER", "SET-CONFIG-EPOCH", node + 1)
            if node < MASTERS:
                slots = range(node * share, min((node + 1) * share, _SLOTS))
                self._ask(node, "CLUSTER", "ADDSLOTSRANGE", slots[0], slots[-1])
            if node > 0:
                port = self.ports[0]
                self._ask(node, "CLUSTER", "MEET", "127.0.0.1", port, port + _BUS)
        ids = [self._ask(node, "CLUSTER", "MYID").decode() for node in range(NODES)]
        for node in range(MASTERS, NODES):

            def follow(node: int = node) -> bool:
                self._ask(node, "CLUSTER", "REPLICATE", ids[node - MASTERS])
                return True

            self._eventually("a replica knows its master", follow)
        self.wait_until_copied()

    def _eventually(self, what: str, check: Callable[[], Any]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(RedisError, OSError):
                if check():
                    return
            if time.monotonic() > deadline:
                raise TimeoutError(f"the Redis Cluster: still not so after {_PATIENCE:.0f} s: {what}")
            time.sleep(0.05)

    def close(self) -> None:
        """End all nodes."""
        for node in list(self._processes):
            self.kill(node)


def _free_ports(number: int) -> list[int]:
    """Ports that are free now, with the ones for the cluster's own traffic; of those that no system gives to outgoing
    connections, which could take one before its node has started."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, socket.socket() as second:
            try:
                probe.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + _BUS))
            except OSError:
                continue
            found.append(port)
        if len(found) == number:
            return found
    raise OSError("too many ports are in use")
