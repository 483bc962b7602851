"""The standard sensors that are true at once: date-time, time-delta, weekday, bash, file, time.

scenario:
  - connection: {conn_id: conformance_files, conn_type: fs}
  - trigger
  - wait
"""

from datetime import datetime, time, timedelta, timezone

from airflow.providers.standard.sensors.bash import BashSensor
from airflow.providers.standard.sensors.date_time import DateTimeSensor
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.providers.standard.sensors.time import TimeSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.providers.standard.sensors.weekday import DayOfWeekSensor
from airflow.sdk import DAG

OPTIONS = {"poke_interval": 0.3, "timeout": 30}

with DAG("sensor_stock", schedule=None):
    DateTimeSensor(task_id="date_time", target_time=datetime(2026, 1, 1, tzinfo=timezone.utc), **OPTIONS)
    DateTimeSensor(task_id="date_time_template", target_time="{{ logical_date }}", **OPTIONS)
    TimeDeltaSensor(task_id="time_delta", delta=timedelta(seconds=1), **OPTIONS)
    DayOfWeekSensor(task_id="weekday", week_day="Thursday", use_task_logical_date=True, **OPTIONS)
    BashSensor(task_id="bash", bash_command="exit 0", **OPTIONS)
    FileSensor(task_id="file", filepath="/bin/sh", fs_conn_id="conformance_files", **OPTIONS)
    TimeSensor(task_id="time", target_time=time(0, 0), **OPTIONS)
