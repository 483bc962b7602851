"""E-mail on failure and on retry, through an own email backend.

scenario:
  - trigger
  - wait
  - settle: {seconds: 6}
"""

from datetime import timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail

OPTIONS = {"python_callable": fail, "email": ["ops@conformance.example"], "retry_delay": timedelta(seconds=0.3)}

with DAG("cb_email", schedule=None):
    PythonOperator(task_id="both", retries=1, **OPTIONS)
    PythonOperator(task_id="only_failure", retries=1, email_on_retry=False, **OPTIONS)
    PythonOperator(task_id="only_retry", retries=1, email_on_failure=False, **OPTIONS)
    PythonOperator(task_id="no_address", python_callable=fail)
