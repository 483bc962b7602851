"""pre_execute and post_execute hooks, by argument and by method; a failing one.

scenario:
  - trigger
  - wait
  - settle: {seconds: 5}
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowSkipException
from conformance_tools import note


class Hooked(BaseOperator):
    def pre_execute(self, context):
        note("cb_pre_post", "pre_method")

    def execute(self, context):
        note("cb_pre_post", "execute")
        return "result"

    def post_execute(self, context, result=None):
        note("cb_pre_post", "post_method", result=result)


def skip_before(context) -> None:
    raise AirflowSkipException("before it began")


def after(context, result=None) -> None:
    note("cb_pre_post", "post_argument", result=result)


def broken_after(context, result=None) -> None:
    raise ValueError("after it ended")


with DAG("cb_pre_post", schedule=None):
    Hooked(task_id="methods")
    PythonOperator(task_id="skipped_before", python_callable=print, pre_execute=skip_before)
    PythonOperator(task_id="arguments", python_callable=lambda: 3, post_execute=after)
    PythonOperator(task_id="broken_after", python_callable=lambda: 4, post_execute=broken_after)
