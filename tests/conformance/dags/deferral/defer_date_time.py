"""DateTimeSensorAsync: resumed by the worker, started from the trigger, ended from the trigger."""

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.sdk import DAG

TARGET = "{{ (dag_run.start_date + macros.timedelta(seconds=3)).isoformat() }}"

with DAG("defer_date_time", schedule=None):
    DateTimeSensorAsync(task_id="resumes", target_time=TARGET)
    DateTimeSensorAsync(task_id="ends_from_trigger", target_time=TARGET, end_from_trigger=True)
    DateTimeSensorAsync(task_id="past", target_time="{{ logical_date }}")
