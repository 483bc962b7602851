"""One DAG with a task for each thing that the supervisor must get right."""

import datetime
import logging
import os
import signal
import subprocess
import sys
import time

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import (
    BranchPythonOperator,
    PythonOperator,
    ShortCircuitOperator,
)
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, BaseOperator, Connection, Variable, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from helpers.greeting import GREETING


def push_two(ti):
    ti.xcom_push(key="extra", value={"list": [1, 2.5, None, "ä"]})
    return {"answer": 42}


def pull_two(ti):
    assert ti.xcom_pull(task_ids="push") == {"answer": 42}
    return ti.xcom_pull(task_ids="push", key="extra")["list"][3]


def raise_(error):
    raise error


def sleep_in_grandchild():
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    print(f"grandchild {child.pid}", flush=True)
    time.sleep(1000)


def leave_grandchild_behind():
    child = subprocess.Popen(["sleep", "1000"])
    print(f"grandchild {child.pid}", flush=True)


def segfault():
    import ctypes

    ctypes.string_at(0)


def print_much():
    for number in range(20_000):
        print(f"line {number} " + "x" * 80)
    logging.getLogger("mine").warning("done printing")


def speak():
    print("grüße 🌊 \udc80")
    print("to stderr", file=sys.stderr)
    logging.getLogger("mine").error("from logging %s", {"a": 1})


def use_settings():
    assert Variable.get("greeting") == "hello"
    assert Variable.get("missing", default="other") == "other"
    connection = Connection.get("db")
    assert (connection.host, connection.password) == ("db.example", "pa55-word")
    print("the password is pa55-word, the key is k3y-of-api")
    Variable.set("written", "by a task")
    return Variable.get("api_key")


def see_environment():
    return {key: value for key, value in os.environ.items() if "SECRET" in key or key == "VISIBLE"}


def ask_from_a_subprocess():
    """Do what PythonVirtualenvOperator does: a new interpreter takes over the channel to the supervisor."""
    script = (
        "import os; os.environ['_AIRFLOW__AS_LIBRARY'] = '1'\n"
        "from airflow.sdk.execution_time import task_runner\n"
        "import structlog; task_runner.log = structlog.get_logger()\n"
        "task_runner.reinit_supervisor_comms()\n"
        "from airflow.sdk import Variable\n"
        "structlog.get_logger('sub').warning('the variable is ' + Variable.get('greeting'))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdin=0)


class Stoppable(BaseOperator):
    def execute(self, context):
        print("working", flush=True)
        time.sleep(1000)

    def on_kill(self):
        # Not print: a signal handler may interrupt one.
        os.write(1, b"on_kill was called\n")
        os._exit(7)


class Stubborn(BaseOperator):
    def execute(self, context):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("working", flush=True)
        time.sleep(1000)


class Deferring(BaseOperator):
    def execute(self, context):
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.defer(
            trigger=TimeDeltaTrigger(datetime.timedelta(hours=1)),
            method_name="resume",
            kwargs={"count": 3},
            timeout=datetime.timedelta(hours=2),
        )

    def resume(self, context, count, event=None):
        return f"resumed {count} {event}"


with DAG("basics", schedule="@daily", start_date=datetime.datetime(2026, 1, 1), catchup=False):
    BashOperator(task_id="bash", bash_command="echo {{ ds }} {{ params.get('x', 'none') }} $VISIBLE")
    BashOperator(task_id="bash_fails", bash_command="echo before; exit 3")
    BashOperator(task_id="bash_sleeps", bash_command="echo sh''ell $$; sleep 1000")
    PythonOperator(task_id="push", python_callable=push_two)
    PythonOperator(task_id="pull", python_callable=pull_two)
    PythonOperator(task_id="nothing", python_callable=lambda: None)
    PythonOperator(task_id="sibling", python_callable=lambda: GREETING)
    PythonOperator(task_id="skip", python_callable=raise_, op_args=[AirflowSkipException("not today")])
    PythonOperator(task_id="fail", python_callable=raise_, op_args=[ValueError("broken")])
    PythonOperator(task_id="fail_for_good", python_callable=raise_, op_args=[AirflowFailException("no use")])
    PythonOperator(
        task_id="too_slow",
        python_callable=lambda: time.sleep(1000),
        execution_timeout=datetime.timedelta(seconds=0.5),
    )
    PythonOperator(task_id="exit_0", python_callable=os._exit, op_args=[0])
    PythonOperator(task_id="exit_3", python_callable=os._exit, op_args=[3])
    PythonOperator(task_id="sys_exit", python_callable=sys.exit, op_args=[4])
    PythonOperator(task_id="kill_9", python_callable=lambda: os.kill(os.getpid(), signal.SIGKILL))
    PythonOperator(task_id="segfault", python_callable=segfault)
    PythonOperator(task_id="much", python_callable=print_much)
    PythonOperator(task_id="speak", python_callable=speak)
    PythonOperator(task_id="settings", python_callable=use_settings)
    PythonOperator(task_id="subprocess", python_callable=ask_from_a_subprocess)
    PythonOperator(task_id="environment", python_callable=see_environment)
    PythonOperator(task_id="large", python_callable=lambda: "x" * 200_000)
    PythonOperator(task_id="nan", python_callable=lambda: {"loss": float("nan")})
    PythonOperator(task_id="grandchild", python_callable=sleep_in_grandchild)
    PythonOperator(task_id="leftover", python_callable=leave_grandchild_behind)
    PythonOperator(task_id="garbage", python_callable=lambda: os.write(0, b"\xff\xff\xff\xff") and time.sleep(1000))
    PythonSensor(task_id="sensor", python_callable=lambda: False, mode="reschedule", poke_interval=60)
    Stoppable(task_id="stoppable")
    Stubborn(task_id="stubborn")
    Deferring(task_id="deferring")
    BranchPythonOperator(task_id="branch", python_callable=lambda: "left") >> [
        PythonOperator(task_id="left", python_callable=lambda: None),
        PythonOperator(task_id="right", python_callable=lambda: None),
    ]
    ShortCircuitOperator(task_id="short", python_callable=lambda: False) >> PythonOperator(
        task_id="cut_off", python_callable=lambda: None
    )

    @task
    def produce():
        return [1, 2, 3]

    @task
    def total(numbers):
        return sum(numbers)

    total(produce())
