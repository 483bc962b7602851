"""DAG files with something wrong in each, and what `dags check` says of them."""

from __future__ import annotations

BASH = "from airflow.providers.standard.operators.bash import BashOperator\n"
HEAD = "from datetime import datetime\nfrom airflow.sdk import DAG, Param, task\n" + BASH

FILES = {
    "cycle.py": HEAD
    + """
with DAG("round"):
    a, b, c = (BashOperator(task_id=name, bash_command="true") for name in "abc")
    a >> b >> c >> a
""",
    "cycle.yaml": """dag_id: knot
tasks:
  - {id: left, operator: noop, depends_on: [right]}
  - {id: right, operator: noop, depends_on: [left]}
""",
    "missing.py": "from airflow.sdk import DAG\nimport no_such_module_anywhere\n",
    "syntax.py": "from airflow.sdk import DAG\nwith DAG('x') as dag\n    pass\n",
    "crash.py": "from airflow.sdk import DAG\nimport os\nos._exit(3)\n",
    "endless.py": "from airflow.sdk import DAG\nwhile True:\n    pass\n",
    "field.yaml": "dag_id: field\ntasks:\n  - id: a\n    operator: bash\n    comand: true\n",
    "uses.py": HEAD
    + """from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
with DAG("uses", schedule="@daily", start_date=datetime(2026, 1, 1), catchup=True):
    BashOperator(task_id="pooled", bash_command="true", pool="defualt_pool")
    BashOperator(task_id="queued", bash_command="true", queue="gpus")
    SQLExecuteQueryOperator(task_id="ask", conn_id="warehouse", sql="select 1")
    SQLExecuteQueryOperator(task_id="known", conn_id="mine", sql="select 1")
""",
    "twice.py": HEAD
    + """
with DAG("double", schedule="0 4 * * MON"):
    BashOperator(task_id="a", bash_command="true")
with DAG("double", schedule="0 4 * * MON"):
    BashOperator(task_id="b", bash_command="true")
""",
    "x_other.py": HEAD
    + """
with DAG("uses"):
    BashOperator(task_id="a", bash_command="true")
""",
    "warns.py": HEAD
    + """import warnings
warnings.warn("this is old")
with DAG("warns", schedule="@daily", start_date=datetime(2020, 1, 1), end_date=datetime(2021, 1, 1)):
    BashOperator(task_id="a", bash_command="true")
""",
    "old.py": """from datetime import datetime
from airflow import DAG
from airflow.operators.bash import BashOperator
with DAG("old", schedule_interval="@daily", start_date=datetime(2026, 1, 1), catchup=False):
    BashOperator(task_id="a", bash_command="true")
""",
    "own.py": HEAD
    + """from airflow.timetables.base import DagRunInfo, DataInterval, Timetable
from pendulum import datetime as at
class Years(Timetable):
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval.exact(run_after)
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        year = 2088 if last_automated_data_interval is None else last_automated_data_interval.start.year + 1
        return DagRunInfo.exact(at(year, 1, 1))
class Raises(Years):
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        raise LookupError("no calendar")
with DAG("years", schedule=Years(), start_date=datetime(2026, 1, 1)):
    BashOperator(task_id="a", bash_command="true")
with DAG("raises", schedule=Raises(), start_date=datetime(2026, 1, 1)):
    BashOperator(task_id="a", bash_command="true")
""",
    "berlin.yaml": """dag_id: berlin
schedule: "0 9 * * *"
timezone: Europe/Berlin
start_date: 2026-01-01
tasks:
  - id: ask
    operator: sql
    connection: nowhere
    sql: select 1
    pool: tiny
""",
}

# Rule, file, line.
EXPECTED = {
    ("dependency-cycle", "cycle.py", 5),
    ("dependency-cycle", "cycle.yaml", 3),
    ("import-error", "missing.py", 2),
    ("import-error", "syntax.py", 2),
    ("import-error", "crash.py", None),
    ("import-error", "endless.py", 2),
    ("import-error", "field.yaml", 5),
    # It lacks the field that the slip stands for.
    ("import-error", "field.yaml", 3),
    ("catchup-backlog", "uses.py", 5),
    ("unknown-pool", "uses.py", 6),
    ("unknown-queue", "uses.py", 7),
    ("unknown-connection", "uses.py", 8),
    ("duplicate-dag-id", "twice.py", 7),
    ("no-start-date", "twice.py", 7),
    ("duplicate-dag-id", "x_other.py", None),
    ("python-warning", "warns.py", 5),
    ("never-runs", "warns.py", 6),
    ("timetable-raises", "own.py", 17),
    ("deprecated-name", "old.py", 3),
    ("deprecated-name", "old.py", 4),
    ("unknown-connection", "berlin.yaml", 6),
    ("unknown-pool", "berlin.yaml", 6),
}
