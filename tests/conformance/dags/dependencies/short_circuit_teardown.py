"""A short circuit never skips a teardown."""

from airflow.sdk import DAG, setup, task, teardown

with DAG("short_circuit_teardown", schedule=None):

    @setup
    def up() -> int:
        return 1

    @task.short_circuit
    def stop() -> bool:
        return False

    @task
    def work() -> None: ...

    @teardown
    def down() -> None: ...

    begin, end = up(), down()
    begin >> stop() >> work() >> end
    begin >> end
