"""Templates that fail: an undefined name, a syntax error, a forbidden attribute, a missing file."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("tpl_errors", schedule=None):
    for name, template in {
        "undefined": "echo {{ nowhere }}",
        "undefined_attribute": "echo {{ params.nowhere }}",
        "syntax": "echo {{ ds",
        "private": "echo {{ ds.__class__ }}",
        "division": "echo {{ 1 / 0 }}",
        "old_name": "echo {{ execution_date }}",
    }.items():
        BashOperator(task_id=name, bash_command=template)
