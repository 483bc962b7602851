"""The servers that providers are run against: real implementations, in threads of the test's own process."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import email
import email.policy
import json
import os
import re
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncssh
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from moto.server import ThreadedMotoServer
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

USER = "sailor"


# --- HTTP -----------------------------------------------------------------------------------------------------------


@dataclass
class Web:
    """An HTTP server that keeps what it was asked, and answers as the path says."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0

    def at(self, path: str) -> list[dict[str, Any]]:
        """The requests to a path."""
        return [request for request in list(self.requests) if request["path"] == path]

    def answer(self, request: dict[str, Any]) -> tuple[int, Any]:
        path = request["path"]
        asked = len(self.at(path))  # This one is among them.
        if found := re.fullmatch(r"/status/(\d+)", path):
            return int(found[1]), {"error": "as asked"}
        if found := re.fullmatch(r"/pages/(\d)", path):
            page = int(found[1])
            return 200, {"page": page, "next": f"/pages/{page + 1}" if page < 3 else None}
        if path.startswith("/ready/"):
            return 200, {"ready": asked > 2}
        if path.startswith("/available/"):
            return (200, {}) if asked > 2 else (404, {})
        if path.startswith("/api/"):  # Slack's API.
            return 200, {"ok": True, "ts": "1.0", "channel": "C1"}
        if path.startswith("/services/"):  # Slack's web hooks.
            return 200, "ok"
        # An echo, without what a task would then push as an XCom.
        return 200, {name: value for name, value in request.items() if name not in ("password", "token")}


def web_handler(web: Web) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            authorization = self.headers.get("Authorization") or ""
            user = base64.b64decode(authorization[6:]).decode() if authorization.startswith("Basic ") else ""
            request = {
                "method": self.command,
                "path": parts.path,
                "query": dict(parse_qsl(parts.query)),
                "body": body,
                "user": user.partition(":")[0],
                "password": user.partition(":")[2],
                "token": authorization.removeprefix("Bearer "),
            }
            web.requests.append(request)
            status, answer = web.answer(request)
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = serve

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def web_server() -> Iterator[Web]:
    web = Web()
    server = ThreadingHTTPServer(("127.0.0.1", 0), web_handler(web))
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, name="web", daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- mail -----------------------------------------------------------------------------------------------------------


@dataclass
class Mail:
    """An SMTP server that wants a password and keeps the mails."""

    password: str
    messages: list[tuple[list[str], email.message.EmailMessage]] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.messages.append((list(envelope.rcpt_tos), message))
        return "250 OK"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        fits = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), self.password.encode())
        return AuthResult(success=fits)

    def subjects(self) -> dict[str, tuple[list[str], email.message.EmailMessage]]:
        return {str(message["Subject"]): (to, message) for to, message in list(self.messages)}


class FreePortController(Controller):
    """Lets the system choose the port; the base class wants to know it beforehand."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextlib.contextmanager
def mail_server(password: str) -> Iterator[Mail]:
    mail = Mail(password)
    controller = FreePortController(
        mail,
        hostname="127.0.0.1",
        port=0,
        authenticator=mail.authenticate,
        auth_required=True,
        auth_require_tls=False,
    )
    controller.start()
    mail.port = controller.port
    try:
        yield mail
    finally:
        controller.stop()


# --- SSH and SFTP ---------------------------------------------------------------------------------------------------


@dataclass
class Ssh:
    """An SSH server: a password or a key, commands by the shell, SFTP below a folder."""

    root: Path
    password: str
    key: asyncssh.SSHKey
    port: int = 0

    @property
    def private_key(self) -> str:
        return self.key.export_private_key("openssh").decode()


def ssh_login(ssh: Ssh) -> type[asyncssh.SSHServer]:
    class Login(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, ssh.password)

        def public_key_auth_supported(self) -> bool:
            return True

        def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
            return username == USER and key == ssh.key.convert_to_public()

    return Login


async def ssh_command(process: asyncssh.SSHServerProcess) -> None:
    """Runs a command by the shell, as sshd does."""
    env = {"PATH": os.environ["PATH"], "HOME": "/tmp", **process.env}
    # To files, not pipes: what a command leaves in the background keeps a pipe open, so that there would be no end to wait for.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        command = ["/bin/bash", "-c", process.command or "true"]
        running = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        code = await asyncio.get_running_loop().run_in_executor(None, running.wait)
        for file, stream in ((out, process.stdout), (err, process.stderr)):
            file.seek(0)
            stream.write(file.read())
            await stream.drain()
    process.exit(code)


class LoopThread:
    """An event loop in a thread."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self.thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()


@contextlib.contextmanager
def ssh_server(root: Path, password: str) -> Iterator[Ssh]:
    root.mkdir()
    ssh = Ssh(root, password, asyncssh.generate_private_key("ssh-rsa", key_size=2048))
    thread = LoopThread("ssh")

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            ssh_login(ssh),
            "127.0.0.1",
            0,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
            process_factory=ssh_command,
            encoding=None,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=os.fsencode(root)),
        )

    acceptor = thread.run(listen())
    ssh.port = acceptor.get_port()
    try:
        yield ssh
    finally:

        async def close() -> None:
            acceptor.close()
            await acceptor.wait_closed()

        thread.run(close())
        thread.stop()


# --- FTP ------------------------------------------------------------------------------------------------------------


@dataclass
class Ftp:
    root: Path
    password: str
    port: int = 0


@contextlib.contextmanager
def ftp_server(root: Path, password: str) -> Iterator[Ftp]:
    root.mkdir()
    authorizer = DummyAuthorizer()
    authorizer.add_user(USER, password, str(root), perm="elradfmwMT")
    handler = type("Handler", (FTPHandler,), {"authorizer": authorizer, "log_prefix": "ftp"})
    server = FTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=lambda: server.serve_forever(timeout=0.2, handle_exit=False), name="ftp", daemon=True)
    thread.start()
    try:
        yield Ftp(root, password, server.address[1])
    finally:
        server.close_all()
        thread.join(10)


# --- AWS ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def aws_server() -> Iterator[str]:
    """Moto's server; gives its address."""
    import requests

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    # Lambda functions would need Docker; moto then answers for them itself.
    requests.post(f"{address}/moto-api/config", json={"lambda": {"use_docker": False}}, timeout=10).raise_for_status()
    try:
        yield address
    finally:
        server.stop()
