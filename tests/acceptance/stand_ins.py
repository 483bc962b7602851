"""Servers in the test's own process that stand in for what the tutorials reach: Slack and Prometheus, SMTP, AWS."""

from __future__ import annotations

import email
import email.message
import email.policy
import io
import json
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import boto3
from aiosmtpd.controller import Controller
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)


@dataclass
class Request:
    """What a client sent."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"

    @staticmethod
    def of(value: object, status: int = 200) -> Answer:
        return Answer(status, json.dumps(value).encode())


class HttpServer:
    """Answers requests by a function, and keeps them."""

    def __init__(self, answer: Callable[[Request], Answer], port: int = 0) -> None:
        self.requests: list[Request] = []
        kept = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, parts.path, parse_qs(parts.query), headers, body)
                kept.append(request)
                done = answer(request)
                self.send_response(done.status)
                self.send_header("Content-Type", done.content_type)
                self.send_header("Content-Length", str(len(done.body)))
                self.end_headers()
                self.wfile.write(done.body)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class Slack(HttpServer):
    """An incoming webhook: answers `ok`, as Slack's does."""

    def __init__(self) -> None:
        super().__init__(lambda _: Answer(200, b"ok", "text/html"))

    def messages(self) -> list[dict]:
        return [request.json() for request in self.requests]


class Prometheus(HttpServer):
    """The query endpoint of Prometheus' HTTP API, with one metric whose value a test sets."""

    def __init__(self, port: int) -> None:
        #: The value of `ml_model_accuracy`; None when there is no such series.
        self.accuracy: float | None = None
        #: Answer with this status instead, when it is set.
        self.broken: int | None = None
        super().__init__(self.answer, port)

    def answer(self, request: Request) -> Answer:
        if self.broken:
            return Answer(self.broken, b"unavailable", "text/plain")
        if request.path != "/api/v1/query" or request.query.get("query") != ["ml_model_accuracy"]:
            return Answer.of({"status": "error", "errorType": "bad_data", "error": "unknown query"}, 400)
        series = {"metric": {"__name__": "ml_model_accuracy"}, "value": [1767225600, str(self.accuracy)]}
        result = [] if self.accuracy is None else [series]
        return Answer.of({"status": "success", "data": {"resultType": "vector", "result": result}})


@dataclass
class Mail:
    sender: str
    recipients: list[str]
    message: email.message.EmailMessage

    @property
    def subject(self) -> str:
        return str(self.message["Subject"])

    def text(self) -> str:
        body = self.message.get_body(("html", "plain"))
        assert body is not None, f"the mail {self.subject!r} has no text"
        return body.get_content()


@dataclass
class Mailbox:
    """An SMTP server that keeps what it gets."""

    mails: list[Mail] = field(default_factory=list)
    port: int = 2525

    def __post_init__(self) -> None:
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, email.message.EmailMessage)
        self.mails.append(Mail(envelope.mail_from, list(envelope.rcpt_tos), message))
        return "250 OK"

    def about(self, *words: str) -> list[Mail]:
        """The mails whose subject has all these words."""
        return [mail for mail in self.mails if all(word in mail.subject for word in words)]

    def stop(self) -> None:
        self.controller.stop()


class Aws:
    """moto's server: S3 and SageMaker, with the requests kept."""

    def __init__(self) -> None:
        #: (method, path, X-Amz-Target, body) of each request.
        self.requests: list[tuple[str, str, str, bytes]] = []
        moto = DomainDispatcherApplication(create_backend_app)

        def recording(environ, start_response):
            target = environ.get("HTTP_X_AMZ_TARGET", "")
            body = b""
            if target:
                body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                environ["wsgi.input"] = io.BytesIO(body)
            self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], target, body))
            return moto(environ, start_response)

        self.server = make_server("127.0.0.1", 0, recording, threaded=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def calls(self, target: str) -> list[dict]:
        """The bodies of the calls of an action, such as `SageMaker.CreateModel`."""
        return [json.loads(body) for _, _, found, body in self.requests if found == target]

    def client(self, service: str):
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name="us-west-2",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def stop(self) -> None:
        self.server.shutdown()
