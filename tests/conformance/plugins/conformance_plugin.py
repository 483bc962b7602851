"""A plugin with timetables and a priority weight strategy."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.plugins_manager import AirflowPlugin
from airflow.task.priority_strategy import PriorityWeightStrategy
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from airflow.utils.types import DagRunType


class EveryOtherDay(Timetable):
    """Every second day at an hour, counted from 2026-01-01; the interval is the two days before."""

    def __init__(self, hour: int) -> None:
        self.hour = hour

    def serialize(self) -> dict[str, Any]:
        return {"hour": self.hour}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        return cls(data["hour"])

    @property
    def summary(self) -> str:
        return f"every other day at {self.hour}"

    def _tick_after(self, when: pendulum.DateTime) -> pendulum.DateTime:
        tick = pendulum.datetime(2026, 1, 1, self.hour)
        while tick < when:
            tick = tick.add(days=2)
        return tick

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        return DataInterval(run_after.subtract(days=2), run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if last_automated_data_interval is not None:
            tick = self._tick_after(last_automated_data_interval.end.add(seconds=1))
        elif restriction.earliest is None:
            return None
        else:
            tick = self._tick_after(restriction.earliest)
        if restriction.latest is not None and tick > restriction.latest:
            return None
        return DagRunInfo.interval(tick.subtract(days=2), tick)

    def generate_run_id(
        self, *, run_type: DagRunType, run_after: pendulum.DateTime, data_interval: DataInterval | None, **more: Any
    ) -> str:
        end = data_interval.end if data_interval else run_after
        return f"{run_type.value}__other_day_{end.strftime('%Y%m%d')}"


class Raising(Timetable):
    """Raises when it is asked for the next run."""

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        raise RuntimeError("this timetable raises")


class WeightByTry(PriorityWeightStrategy):
    """The task's own weight, and ten for each try."""

    def get_weight(self, ti: Any) -> int:
        return ti.task.priority_weight + 10 * (ti.try_number or 0)


class ConformancePlugin(AirflowPlugin):
    """Makes them known."""

    name = "conformance"
    timetables = [EveryOtherDay, Raising]
    priority_weight_strategies = [WeightByTry]
