"""A deadline that is missed calls its callback, one that is met does not.

scenario:
  - trigger
  - wait
  - wait_journal: {lines: 1}
  - settle: {seconds: 4}
"""

import time
from datetime import timedelta

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, task

with DAG(
    "cb_deadline",
    schedule=None,
    deadline=[
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(seconds=2),
            callback=AsyncCallback("conformance_callbacks.deadline_missed", kwargs={"which": "short"}),
        ),
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_QUEUED_AT,
            interval=timedelta(seconds=600),
            callback=AsyncCallback("conformance_callbacks.deadline_missed", kwargs={"which": "long"}),
        ),
    ],
):

    @task
    def slow() -> None:
        time.sleep(10)

    slow()
