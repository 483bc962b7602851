"""Params of DAG and task, overridden by conf; what a task and a template see.

scenario:
  - trigger
  - trigger: {conf: {size: 7, extra: [1, 2]}}
  - wait
"""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param, get_current_context, task

with DAG(
    "params_conf", schedule=None, params={"size": Param(3, type="integer", minimum=1), "name": "plain", "nothing": None}
):

    @task(params={"name": "of the task", "own": 1})
    def look() -> dict:
        context = get_current_context()
        return {"params": dict(context["params"]), "conf": context["dag_run"].conf}

    look()
    BashOperator(
        task_id="bash", bash_command="echo {{ params.size }} {{ params.name }} {{ dag_run.conf.get('extra') }}"
    )
