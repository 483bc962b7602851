"""XComArgs in operators: templates, nested in lists and dicts, of keys, as dependencies only."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, task

with DAG("xcom_args", schedule=None):

    @task(multiple_outputs=True)
    def made():
        return {"name": "Ann", "sizes": [1, 2]}

    found = made()
    BashOperator(task_id="bash", bash_command="echo $NAME", env={"NAME": found["name"]}, append_env=True)
    BashOperator(
        task_id="template",
        bash_command="echo {{ ti.xcom_pull(task_ids='made')['name'] }} {{ ti.xcom_pull('made', key='sizes') }}",
    )
    PythonOperator(
        task_id="nested",
        python_callable=lambda *args, **more: [list(args), more],
        op_args=[found["sizes"], {"deep": [found["name"]]}],
        op_kwargs={"all": found},
    )

    @task
    def show(*things) -> str:
        return repr(things)

    show(found["name"], found, [found["sizes"]])
