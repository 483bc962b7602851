"""The channels between the supervisor and this package.

Control channel: a SOCK_SEQPACKET socket, one JSON object a packet, file descriptors attached to fork requests.
Job channel: a stream socket; the supervisor's first words on it are a length-prefixed JSON object, the prelude.
"""

from __future__ import annotations

import json
import socket
from typing import Any

_MAX_PACKET = 64 * 1024
_MAX_FDS = 4

# Python names no constant for it. Without it a task of another fork could inherit the descriptors for a moment.
MSG_CMSG_CLOEXEC = 0x40000000


class Control:
    """The zygote's end of the control channel."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def fileno(self) -> int:
        return self._sock.fileno()

    def close(self) -> None:
        self._sock.close()

    def send(self, event: str, **fields: Any) -> None:
        """Tell the supervisor something. Losing the supervisor is noticed by the next receive, not here."""
        try:
            self._sock.send(json.dumps({"event": event, **fields}).encode())
        except (BrokenPipeError, ConnectionResetError):
            pass

    def receive(self) -> tuple[dict[str, Any], list[int]] | None:
        """Return the next order and its file descriptors, or None when the supervisor is gone."""
        try:
            data, fds, _, _ = socket.recv_fds(self._sock, _MAX_PACKET, _MAX_FDS, MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return None
        return (json.loads(data), list(fds)) if data else None


def read_prelude(sock: socket.socket) -> dict[str, Any]:
    """Read the supervisor's first words on a job channel, and not a byte more: the protocol's own follow."""
    return json.loads(_read_exactly(sock, int.from_bytes(_read_exactly(sock, 4), "big")))


def write_frame(sock: socket.socket, body: dict[str, Any]) -> None:
    """Write a length-prefixed JSON object."""
    data = json.dumps(body, allow_nan=False).encode()
    sock.sendall(len(data).to_bytes(4, "big") + data)


def _read_exactly(sock: socket.socket, count: int) -> bytes:
    buffer = bytearray()
    while len(buffer) < count:
        chunk = sock.recv(count - len(buffer))
        if not chunk:
            raise EOFError("the supervisor closed the job channel")
        buffer += chunk
    return bytes(buffer)
