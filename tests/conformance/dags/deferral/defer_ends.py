"""A trigger that ends its task: success with XComs, failed, skipped; and what follows."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator


class EndsIn(BaseOperator):
    def __init__(self, *, state: str, xcoms: dict | None = None, **more) -> None:
        super().__init__(**more)
        self.state = state
        self.xcoms = xcoms

    def execute(self, context):
        from conformance_triggers import Ends

        self.defer(trigger=Ends(self.state, self.xcoms), method_name="never")


with DAG("defer_ends", schedule=None):
    for state in ("success", "failed", "skipped"):
        EndsIn(task_id=state, state=state, xcoms={"return_value": state, "more": [1]}) >> EmptyOperator(
            task_id=f"after_{state}"
        )
