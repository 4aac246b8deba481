"""A network whose servers all speak TLS, with certificate chains as long as those of public authorities."""

from pathlib import Path

import httpx
from anontrace.wire import network, trust

from tests.backend.certificates import Authority
from tests.backend.servers import Servers
from tests.patience import HANG_SECONDS

# A public authority's certificate for P-256, with its intermediate one, has 2.2 kB; ours has 450 bytes.
FILLING = 1750
NAMES = ("discovery", "mix-1", "mix-2", "mix-3", "nymserver", "mailbox", "authority")


class TlsServers(Servers):
    """Servers that speak TLS under a certificate authority of their own."""

    def __init__(self, folder: Path, authority: Authority, delay: float = 0.01, clock: Path | None = None) -> None:
        super().__init__(folder, "--delay", str(delay), "--pace", "0.01", clock=clock)
        for name in NAMES:
            authority.write(folder / name, filling=FILLING)
            path = folder / name / "server.toml"
            text = path.read_text().replace("http://", "https://")
            path.write_text(text + '\n[tls]\ncertificate = "tls.pem"\nkey = "tls.key"\n')
        self.ca = authority.pem
        path = folder / "network.toml"
        plain = network.parse(path.read_text().replace("http://", "https://"))
        plain.model_copy(
            update={"network": plain.network.model_copy(update={"ca": authority.pem})},
        ).save(path)
        self.http = httpx.Client(trust_env=False, timeout=HANG_SECONDS, verify=trust.client_context(authority.pem))
