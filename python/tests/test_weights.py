"""Priority weight strategies of the user's own."""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.task.priority_strategy import PriorityWeightStrategy

from tradewind_guest import weights


class Seven(PriorityWeightStrategy):
    def get_weight(self, ti: Any) -> int:
        return ti.task.priority_weight * 7 + ti.try_number


class Raises(PriorityWeightStrategy):
    def get_weight(self, ti: Any) -> int:
        raise KeyError(ti.task_id)


def test_only_strategies_of_the_users_own_are_asked_and_one_that_raises_is_left_out() -> None:
    with DAG("d") as dag:
        EmptyOperator(task_id="plain", weight_rule="upstream")
        EmptyOperator(task_id="own", weight_rule=Seven(), priority_weight=3)
        EmptyOperator(task_id="raises", weight_rule=Raises())
    assert weights.of_dag(dag) == {"own": 21}
