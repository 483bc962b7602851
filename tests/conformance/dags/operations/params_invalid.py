"""A conf that breaks the schema of the params is refused; a param without a value must be given.

scenario:
  - trigger: {expect: rejected}
  - trigger: {conf: {size: 11, need: "x"}, expect: rejected}
  - trigger: {conf: {size: "7", need: "x"}, expect: rejected}
  - trigger: {conf: {kind: "c", need: "x"}, expect: rejected}
  - trigger: {conf: {when: "not a date", need: "x"}, expect: rejected}
  - trigger: {conf: {need: 5}, expect: rejected}
  - trigger: {conf: {size: 7, kind: "b", need: "x", when: "2026-02-03", unknown: true}}
  - wait
"""

from airflow.sdk import DAG, Param, get_current_context, task

with DAG(
    "params_invalid",
    schedule=None,
    params={
        "size": Param(3, type="integer", minimum=1, maximum=10),
        "kind": Param("a", enum=["a", "b"]),
        "need": Param(type="string", minLength=1),
        "when": Param("2026-01-01", type="string", format="date"),
    },
):

    @task
    def look() -> dict:
        return dict(get_current_context()["params"])

    look()
