"""What top-level code of a DAG file reads is asked of the supervisor by name."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms
from tradewind_guest import wire
from tradewind_guest.parse_answers import ParseAnswers


@contextmanager
def supervisor(answers: dict[str, Any]) -> Iterator[tuple[socket.socket, list[dict[str, Any]]]]:
    """Answers by name over a socket, and keeps the questions."""
    ours, theirs = socket.socketpair()
    asked: list[dict[str, Any]] = []

    def serve() -> None:
        try:
            while True:
                question = wire.read_prelude(ours)
                asked.append(question)
                wire.write_frame(ours, answers[question["name"]])
        except EOFError:
            return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield theirs, asked
    finally:
        theirs.close()
        thread.join()
        ours.close()


def test_what_is_not_known_is_asked() -> None:
    unset = dict.fromkeys(("schema", "login", "password", "port", "extra"))
    connection = {"conn_id": "db", "conn_type": "postgres", "host": "h", **unset}
    known = {"region": {"value": "north"}, "none": {"value": None}, "db": {"value": connection}}
    with supervisor(known) as (channel, asked):
        answers = ParseAnswers({"known": ""}, {}, channel)
        assert answers.send(comms.GetVariable(key="known")).value == ""
        assert answers.send(comms.GetVariable(key="region")).value == "north"
        assert answers.send(comms.GetVariable(key="none")).error == ErrorType.VARIABLE_NOT_FOUND
        assert answers.send(comms.GetConnection(conn_id="db")).host == "h"
    assert asked == [
        {"ask": "variable", "name": "region"},
        {"ask": "variable", "name": "none"},
        {"ask": "connection", "name": "db"},
    ]


def test_a_question_that_gets_no_answer_says_why() -> None:
    with supervisor({"region": {"error": "no leader answers"}}) as (channel, _):
        with pytest.raises(RuntimeError, match="the variable 'region' cannot be read: no leader answers"):
            ParseAnswers({}, {}, channel).send(comms.GetVariable(key="region"))


def test_without_a_supervisor_nothing_else_is_there() -> None:
    assert ParseAnswers({}, {}).send(comms.GetVariable(key="region")).error == ErrorType.VARIABLE_NOT_FOUND
