"""A template in a file beside the DAG.

options:
  files: [tpl_file_command.sh]
"""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("tpl_file", schedule=None):
    BashOperator(task_id="beside", bash_command="tpl_file_command.sh", env={"WHO": "{{ dag.dag_id }}"})
