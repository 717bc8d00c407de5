"""What kind of address a text is, and its host and port. Resolves nothing, contacts nothing.

User names and passwords inside URLs are left out of the value.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from edge_agent.types import JsonObject

_SEPARATED = re.compile(
    r"[0-9a-f]{2}([:-])[0-9a-f]{2}(?:\1[0-9a-f]{2}){4}(?:\1[0-9a-f]{2}){0,2}", re.IGNORECASE
)
_DOTTED = re.compile(r"[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}", re.IGNORECASE)
_BARE = re.compile(r"0x[0-9a-f]{16}|(?=[0-9]*[a-f])(?:[0-9a-f]{12}|[0-9a-f]{16})", re.IGNORECASE)
_HOST = re.compile(
    r"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})"
    r"(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62}))*\.?"
)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,63})")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s]+")
_PATH = re.compile(r"(?:/|\./|\.\./|~/|[A-Za-z]:\\|\\\\)[^\x00-\x1f]*")
_LEVEL = re.compile(r"[A-Za-z0-9_+#$%.:@-]+")
_FILE = re.compile(
    r".*\.(?:log|conf|cfg|ini|py|so|json|xml|ya?ml|toml|db|sqlite|txt|csv|sh|bin|hex|pem|crt|key"
    r"|service|socket|timer|lock|pid|gz|tar|zip|html?|php|js|onnx)(?:\.[0-9]+)?",
    re.IGNORECASE,
)
_INTERFACE = re.compile(
    r"(?:v?can|eth|wlan|wwan|en[opsx]|usb|tty|com|lo|br|docker|veth|ppp|tun|tap|bond|gi|fa|te|ge)"
    r"[a-z]*[0-9][0-9a-z/.-]*",
    re.IGNORECASE,
)


def address(surface: str) -> JsonObject | None:
    """``{"kind": …}`` with what that kind has; None for what could be several kinds."""
    text = surface.strip("<>()'\" \t,;")
    for reader in (_hardware, _ip, _network, _url, _email, _path, _host, _topic):
        found = reader(text)
        if found is not None:
            return found
    return None


def _hardware(text: str) -> JsonObject | None:
    if not any(form.fullmatch(text) for form in (_SEPARATED, _DOTTED, _BARE)):
        return None
    digits = re.sub(r"[^0-9a-f]", "", text.lower().removeprefix("0x"))
    kind = {12: "mac", 16: "ieee-eui64"}.get(len(digits))
    pairs = ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))
    return {"kind": kind, "address": pairs} if kind else None


def _ip(text: str) -> JsonObject | None:
    host, port = _split_port(text)
    try:
        found = ip_address(host)
    except ValueError:
        return None
    return {"kind": f"ipv{found.version}", "host": str(found)} | _port_of(port)


def _network(text: str) -> JsonObject | None:
    if text.count("/") != 1:
        return None
    try:
        network = ip_network(text)
    except ValueError:
        return _interface_address(text)
    return {"kind": f"ipv{network.version}-network", "network": str(network)}


def _interface_address(text: str) -> JsonObject | None:
    """``10.0.0.5/24``: a host together with the length of its network's prefix."""
    host, _, _ = text.partition("/")
    try:
        network, found = ip_network(text, strict=False), ip_address(host)
    except ValueError:
        return None
    return {
        "kind": f"ipv{found.version}",
        "host": str(found),
        "prefix_length": network.prefixlen,
    }


def _url(text: str) -> JsonObject | None:
    if not _URL.fullmatch(text):
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    value: JsonObject = {"kind": "url", "scheme": parts.scheme}
    value |= {"host": host} if host else {}
    value |= {"port": port} if port else {}
    return value | ({"path": parts.path} if parts.path not in {"", "/"} else {})


def _email(text: str) -> JsonObject | None:
    match = _EMAIL.fullmatch(text)
    return {"kind": "email", "host": match[1].lower()} if match else None


def _path(text: str) -> JsonObject | None:
    relative = "/" in text and "://" not in text and not text.endswith("/")
    file = _FILE.fullmatch(text) and " " not in text and (relative or text.count(".") > 0)
    return {"kind": "path", "path": text} if _PATH.fullmatch(text) or file else None


def _host(text: str) -> JsonObject | None:
    host, port = _split_port(text)
    numeric_end = host.rstrip(".").rpartition(".")[2].isdigit()
    if not _HOST.fullmatch(host) or numeric_end or host.lower().startswith("0x"):
        return None
    if _INTERFACE.fullmatch(host) or len(host) > 253:
        return None
    return {"kind": "host", "host": host.rstrip(".").lower()} | _port_of(port)


def _topic(text: str) -> JsonObject | None:
    levels = text.split("/")
    named = levels[0][:1].isalpha() or levels[0][:1] in {"$", "+", "#"}
    plain = all(_LEVEL.fullmatch(level) for level in levels)
    if len(levels) < 2 or not named or not plain or levels[-1].isdigit() or "://" in text:
        return None
    return {"kind": "topic", "topic": text}


def _split_port(text: str) -> tuple[str, int | None]:
    """Host and port; a text that is an IPv6 address as a whole has none."""
    match = re.fullmatch(
        r"(?:\[(?P<six>[^\[\]]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?", text
    )
    if match is None:
        return text, None
    port = int(match["port"]) if match["port"] else None
    if (port is not None and not 1 <= port <= 65535) or (
        match["six"] and not _is_ipv6(match["six"])
    ):
        return "", None
    return match["six"] or match["host"], port


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _port_of(port: int | None) -> JsonObject:
    return {} if port is None else {"port": port}
