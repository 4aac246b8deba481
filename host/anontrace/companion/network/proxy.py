"""The proxy that a wearer chose: whether it is one, and how it may be shown. Never connects to it."""

from urllib.parse import urlsplit

from anontrace.companion.errors import SetupError

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")


def check_proxy(proxy: str) -> None:
    """SetupError unless this is the URL of a proxy. What is wrong with it is not repeated: it may hold a password."""
    try:
        parts = urlsplit(proxy)  # which leaves out line ends and tabs
        is_text = proxy.isprintable() and " " not in proxy
        if is_text and parts.scheme in PROXY_SCHEMES and parts.hostname and parts.port != 0:
            return
    except ValueError:  # no number for a port, or an address in brackets that is none
        pass
    raise SetupError(
        f"the proxy is no URL like socks5h://127.0.0.1:9050; it begins with one of {', '.join(PROXY_SCHEMES)}"
    )


def shown_proxy(proxy: str) -> str:
    """A proxy as it may be shown: without user and password."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
