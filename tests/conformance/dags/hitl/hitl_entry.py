"""HITLEntryOperator with params; an answer that is not among the options, or a second answer, is refused.

options:
  drop: [xcoms.ask.return_value]
scenario:
  - trigger
  - wait_task: {task: ask, state: awaiting_input}
  - answer: {task: ask, options: [Perhaps], params: {name: x, size: 1}, expect: rejected}
  - answer: {task: ask, options: [OK], params: {name: Ann, size: 3}}
  - wait
  - answer: {task: ask, options: [OK], params: {name: Bob, size: 3}, expect: rejected}
"""

from airflow.providers.standard.operators.hitl import HITLEntryOperator
from airflow.sdk import DAG, Param, task

with DAG("hitl_entry", schedule=None):
    ask = HITLEntryOperator(
        task_id="ask", subject="Who?", params={"name": Param("nobody", type="string"), "size": Param(1, type="integer")}
    )

    @task
    def show(answer: dict) -> dict:
        return {"options": answer["chosen_options"], "params": answer["params_input"]}

    show(ask.output)
