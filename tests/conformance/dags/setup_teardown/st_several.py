"""Two setups, one teardown: one failed setup is enough to stop the work, one success enough for the teardown."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from conformance_tools import fail

with DAG("st_several", schedule=None):
    good = PythonOperator(task_id="good", python_callable=print).as_setup()
    bad = PythonOperator(task_id="bad", python_callable=fail).as_setup()
    work = EmptyOperator(task_id="work")
    down = PythonOperator(task_id="down", python_callable=print).as_teardown(setups=[good, bad])
    [good, bad] >> work >> down
