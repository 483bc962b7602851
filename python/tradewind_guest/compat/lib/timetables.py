"""``airflow.timetables.datasets``."""

from __future__ import annotations

from typing import Any

from airflow.timetables.assets import AssetOrTimeSchedule


def DatasetOrTimeSchedule(*, timetable: Any, datasets: Any) -> AssetOrTimeSchedule:  # noqa: N802 - a class of old
    """Make the timetable of today."""
    return AssetOrTimeSchedule(timetable=timetable, assets=datasets)
