"""EventsTimetable: runs at given dates; restrict_to_events moves manual runs onto them.

options:
  dags: [events_timetable, events_timetable_restrict]
scenario:
  - wait: {dag: events_timetable, count: 3}
  - trigger: {dag: events_timetable, run_id: by_hand, logical_date: "2026-01-04T00:00:00Z"}
  - trigger: {dag: events_timetable_restrict, run_id: by_hand, logical_date: "2026-01-04T00:00:00Z"}
  - wait: {dag: events_timetable_restrict, count: 1}
  - wait: {dag: events_timetable, count: 4}
  - settle: {seconds: 2}
"""

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.timetables.events import EventsTimetable

DATES = [
    pendulum.datetime(2026, 1, 5, 4),
    pendulum.datetime(2026, 1, 1, 8, tz="Europe/Berlin"),
    pendulum.datetime(2026, 1, 3),
]

with DAG(
    "events_timetable",
    schedule=EventsTimetable(event_dates=DATES),
    start_date=pendulum.datetime(2026, 1, 1),
    catchup=True,
):
    EmptyOperator(task_id="a")
with DAG(
    "events_timetable_restrict",
    schedule=EventsTimetable(event_dates=DATES, restrict_to_events=True),
    start_date=pendulum.datetime(2027, 1, 1),
    catchup=True,
):
    EmptyOperator(task_id="a")
