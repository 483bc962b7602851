"""DAGs with timetables of the DAG folder."""

import time

import pendulum
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable


class Noons(Timetable):
    """Noon of each day, with the day before as data interval."""

    periodic = True

    def __init__(self, hour=12):
        self.hour = hour

    def serialize(self):
        return {"hour": self.hour}

    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(run_after.subtract(days=1), run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        if last_automated_data_interval is not None:
            at = last_automated_data_interval.end.add(days=1)
        elif restriction.earliest is None:
            return None
        else:
            at = restriction.earliest.start_of("day").add(hours=self.hour)
        if restriction.latest is not None and at > restriction.latest:
            return None
        return DagRunInfo.interval(at.subtract(days=1), at)


class Quiet(Noons):
    periodic = False

    def serialize(self):
        return {}


class Raises(Noons):
    def next_dagrun_info(self, **kwargs):
        raise RuntimeError("no idea when")


class Hangs(Noons):
    def next_dagrun_info(self, **kwargs):
        time.sleep(1000)


class Naive(Noons):
    def next_dagrun_info(self, **kwargs):
        return DagRunInfo.exact(pendulum.naive(2026, 1, 1))


class Rubbish(Noons):
    def next_dagrun_info(self, **kwargs):
        return "tomorrow"


class Stuck(Noons):
    def next_dagrun_info(self, **kwargs):
        return DagRunInfo.exact(pendulum.datetime(2026, 1, 1))


for cls in (Noons, Quiet, Raises, Hangs, Naive, Rubbish, Stuck):
    with DAG(cls.__name__.lower(), schedule=cls()):
        EmptyOperator(task_id="t")
