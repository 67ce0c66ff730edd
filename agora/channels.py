"""Channels and servers with the settings that were found to matter.

* gRPC's own keepalive takes 61 s to notice a frozen peer unless ``grpc.http2.ping_timeout_ms`` is set too.
* ``so_reuseport`` on means that two servers bind one port and share its calls silently.
* Message caps are finite on both sides.
* gRPC obeys ``http_proxy`` even for addresses of this machine. A proxy for web pages knows neither this machine nor the
  user's own others, so it is not asked; one that is meant for gRPC is named by gRPC's own variable ``grpc_proxy``.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Sequence

import grpc
import grpc.aio

from agora.errors import Refused
from agora.v1 import policy_pb2

_LAST_PORT = 65_535
_HOST = re.compile(r"[^\s:/\[\]]+|\[[0-9A-Fa-f:.%\w]+\]")
_SCHEMES = ("dns", "ipv4", "ipv6", "unix", "unix-abstract")
MAX_MESSAGE_BYTES = 64 * 1024 * 1024

_KEEPALIVE = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),
)
_SIZES = (
    ("grpc.http2.lookahead_bytes", 8 << 20),
    ("grpc.http2.max_frame_size", 1 << 20),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
)
_RETRY = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "1s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
CHANNEL_OPTIONS: Sequence[tuple[str, int | str]] = (
    *_KEEPALIVE,
    *_SIZES,
    ("grpc.service_config", _RETRY),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
)
SERVER_OPTIONS: Sequence[tuple[str, int | str]] = (
    *_KEEPALIVE,
    *_SIZES,
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


def check_address(address: str, field: str = "address") -> str:
    """The address, if it is one: HOST:PORT, [IPV6]:PORT, unix:PATH, or one of gRPC's own schemes.

    Raises:
        Refused: it is something else; gRPC would dial port 443, or fail in words of its own.
    """
    text = str(address)
    scheme, _, rest = text.partition(":")
    host, _, port = text.rpartition(":")
    named = scheme in _SCHEMES and bool(rest)
    plain = _HOST.fullmatch(host) is not None and _is_port(port) and int(port) > 0
    if not isinstance(address, str) or not (named or plain):
        raise Refused(policy_pb2.REASON_CONFIG, field, "HOST:PORT, [IPV6]:PORT or unix:PATH", repr(address))
    return address


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= _LAST_PORT


def is_local(address: str) -> bool:
    """Whether an address (``unix:PATH``, ``HOST:PORT`` or ``[IPV6]:PORT``) is reached from this machine only."""
    if address.startswith("unix:"):
        return True
    host = address.rsplit(":", 1)[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def channel_options(address: str) -> Sequence[tuple[str, int | str]]:
    """The settings of a channel to ``address``: straight, or through ``grpc_proxy`` if that is set and it is not local.

    With ``grpc_proxy`` gRPC looks at no other proxy, and ``no_grpc_proxy`` or ``no_proxy`` names what it is not for.
    """
    proxied = not is_local(address) and bool(os.environ.get("grpc_proxy"))  # noqa: SIM112  # gRPC reads it so
    return (*CHANNEL_OPTIONS, ("grpc.enable_http_proxy", int(proxied)))


def connect(address: str) -> grpc.aio.Channel:
    """An asyncio channel to ``address``; it dials when first used and again whenever the connection breaks.

    Raises:
        Refused: it is no address.
    """
    return grpc.aio.insecure_channel(check_address(address), options=channel_options(address))


def connect_blocking(address: str) -> grpc.Channel:
    """A channel to ``address`` for code without an event loop.

    Raises:
        Refused: it is no address.
    """
    return grpc.insecure_channel(check_address(address), options=channel_options(address))


def bind(server: grpc.aio.Server, address: str, *, insecure: bool = False) -> str:
    """Let ``server`` listen on ``address`` and return it with the port filled in, if that was 0.

    Raises:
        Refused: the address can be reached from other machines and ``insecure`` was not given, has no such port, or is
            taken.
    """
    if not is_local(address) and not insecure:
        expected = "a loopback address or unix socket (others need TLS; --insecure overrides)"
        raise Refused(policy_pb2.REASON_CONFIG, "listen", expected, address)
    number = address.rpartition(":")[2]
    if not address.startswith("unix:") and not _is_port(number):
        # gRPC would take 99999 modulo 65536.
        raise Refused(policy_pb2.REASON_CONFIG, "listen", f"HOST:PORT with a port up to {_LAST_PORT}", address)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise Refused(policy_pb2.REASON_CONFIG, "listen", "an address that is free", address) from error
    return address if address.startswith("unix:") else f"{address.rsplit(':', 1)[0]}:{port}"
