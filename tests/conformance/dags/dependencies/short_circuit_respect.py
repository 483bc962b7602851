"""@task.short_circuit with ignore_downstream_trigger_rules=False skips direct tasks only; rules decide below."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG("short_circuit_respect", schedule=None):

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def stop() -> bool:
        return False

    a, b = EmptyOperator(task_id="a"), EmptyOperator(task_id="b")
    stop() >> [a, b]
    a >> EmptyOperator(task_id="a_success")
    [a, b] >> EmptyOperator(task_id="done", trigger_rule="all_done")
    [a, b] >> EmptyOperator(task_id="skipped", trigger_rule="all_skipped")
    [a, b] >> EmptyOperator(task_id="none_failed", trigger_rule="none_failed")
