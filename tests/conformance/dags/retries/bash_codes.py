"""BashOperator's exit codes: 0, other, the skip code, a skip code of its own, a list of them, a signal."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

CODES = {
    "zero": ("exit 0", {}),
    "one": ("exit 1", {}),
    "skip": ("exit 99", {}),
    "own_skip": ("exit 7", {"skip_on_exit_code": 7}),
    "not_own_skip": ("exit 99", {"skip_on_exit_code": 7}),
    "skip_list": ("exit 8", {"skip_on_exit_code": [7, 8]}),
    "no_skip": ("exit 99", {"skip_on_exit_code": None}),
    "killed": ("kill -9 $$", {}),
    "pipe": ("false | true", {}),
    "last_line": ("echo one; echo two", {}),
    "no_output": ("true", {}),
    "env": ("echo $A-$AIRFLOW_CTX_TASK_ID-$AIRFLOW_CTX_DAG_RUN_ID", {"env": {"A": "1"}}),
    "processed": ("echo '{\"a\": 1}'", {"output_processor": lambda text: text.upper()}),
    "cwd": ("pwd", {"cwd": "/"}),
}

with DAG("bash_codes", schedule=None):
    for name, (command, options) in CODES.items():
        BashOperator(task_id=name, bash_command=command, **options)
