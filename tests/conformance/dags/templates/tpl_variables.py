"""Variables and connections in templates and in tasks.

scenario:
  - variable: {key: tpl_text, value: hello}
  - variable: {key: tpl_json, value: '{"a": [1, 2]}'}
  - connection: {conn_id: tpl_conn, conn_type: http, host: example.com, login: me, password: hidden, port: 8080, schema: db, extra: '{"k": "v"}'}
  - trigger
  - wait
"""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Connection, Variable, task

with DAG("tpl_variables", schedule=None):
    BashOperator(
        task_id="bash",
        bash_command="echo {{ var.value.tpl_text }} {{ var.json.tpl_json.a[1] }} {{ conn.tpl_conn.host }}:{{ conn.tpl_conn.port }} {{ conn.tpl_conn.extra_dejson.k }}",
    )

    @task
    def look() -> dict:
        conn = Connection.get("tpl_conn")
        return {
            "text": Variable.get("tpl_text"),
            "json": Variable.get("tpl_json", deserialize_json=True),
            "default": Variable.get("tpl_nothing", default="d"),
            "conn": [conn.conn_type, conn.host, conn.login, conn.port, conn.schema, conn.extra],
        }

    @task
    def missing() -> str:
        return Variable.get("tpl_nothing")

    @task
    def sets() -> str:
        Variable.set("tpl_set", "by a task")
        return Variable.get("tpl_set")

    look()
    missing()
    sets()
