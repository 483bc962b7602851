"""Templates in partial and expanded arguments are rendered for each index."""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("map_templates", schedule=None):
    BashOperator.partial(task_id="bash", env={"DAY": "{{ ds }}", "INDEX": "{{ ti.map_index }}"}).expand(
        bash_command=["echo $DAY $INDEX {{ ti.map_index }}", "echo {{ params.get('x', 'none') }} $INDEX"]
    )
