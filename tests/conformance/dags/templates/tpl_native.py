"""render_template_as_native_obj: templates that make lists, dicts, numbers; of the DAG and of one task.

options:
  dags: [tpl_native, tpl_text]
scenario:
  - trigger: {dag: tpl_native}
  - trigger: {dag: tpl_text}
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG


def show(*args, a=None, b=None) -> list:
    return [[type(value).__name__, str(value)] for value in [*args, a, b]]


ARGS = {
    "op_args": ["{{ [1, 2] }}", "{{ {'a': 1} }}", "{{ 7 }}", "{{ ds }}", "{{ none }}", "{{ logical_date }}"],
    "op_kwargs": {"a": "{{ dag_run.conf }}", "b": "{{ params }}"},
}

with DAG("tpl_native", schedule=None, render_template_as_native_obj=True):
    PythonOperator(task_id="native", python_callable=show, **ARGS)
    PythonOperator(task_id="not_native", python_callable=show, render_template_as_native_obj=False, **ARGS)
with DAG("tpl_text", schedule=None):
    PythonOperator(task_id="text", python_callable=show, **ARGS)
    PythonOperator(task_id="native", python_callable=show, render_template_as_native_obj=True, **ARGS)
