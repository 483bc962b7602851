"""multiple_outputs, with a dict annotation and by argument; None; do_xcom_push off; keys that are not text.

scenario:
  - trigger
  - wait
"""

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task

with DAG("xcom_outputs", schedule=None):

    @task
    def annotated() -> dict[str, int]:
        return {"a": 1, "b": 2}

    @task(multiple_outputs=True)
    def by_argument():
        return {"c": [1, 2], "d": None}

    @task(multiple_outputs=False)
    def switched_off() -> dict[str, int]:
        return {"a": 1}

    @task(multiple_outputs=True)
    def no_dict():
        return 5

    @task(multiple_outputs=True)
    def number_keys():
        return {1: "a"}

    @task
    def nothing() -> None:
        return None

    @task(do_xcom_push=False)
    def not_pushed() -> int:
        return 1

    @task
    def add(a: int, b: int) -> int:
        return a + b

    made = annotated()
    add(made["a"], made["b"])
    by_argument()
    switched_off()
    no_dict()
    number_keys()
    nothing()
    not_pushed()
    PythonOperator(task_id="operator", python_callable=lambda: {"x": 1}, do_xcom_push=True)
