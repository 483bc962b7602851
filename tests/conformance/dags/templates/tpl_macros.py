"""Template variables, macros and filters in an operator's fields: the rendered fields.

options:
  dags: [tpl_macros]
"""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

FIELDS = {
    "dates": "{{ ds }} {{ ds_nodash }} {{ ts }} {{ ts_nodash }} {{ ts_nodash_with_tz }} {{ logical_date }}",
    "interval": "{{ data_interval_start }} {{ data_interval_end | ds }} {{ data_interval_end | ts_nodash }}",
    "macros": "{{ macros.ds_add(ds, 7) }} {{ macros.ds_format(ds, '%Y-%m-%d', '%d/%m/%y') }} {{ macros.datetime(2026, 2, 3) }} {{ macros.timedelta(days=1) }}",
    "ids": "{{ dag.dag_id }} {{ task.task_id }} {{ ti.task_id }} {{ run_id }} {{ task_instance_key_str }} {{ ti.try_number }} {{ ti.map_index }}",
    "run": "{{ dag_run.run_type }} {{ dag_run.conf }} {{ params }} {{ dag_run.logical_date | ds }}",
    "filters": "{{ logical_date | ds }} {{ logical_date | ts }} {{ logical_date | ts_nodash_with_tz }} {{ [3, 1] | sort | join(',') }} {{ 'x' | upper }}",
    "logic": "{% for number in range(3) %}{{ number }}{% if not loop.last %},{% endif %}{% endfor %} {{ 'a' if ds > '2025' else 'b' }}",
    "json": "{{ macros.json.dumps({'a': [1]}) }} {{ params.get('missing', 'none') }}",
    "var": "{{ var.value.get('tpl_macros_none', 'fallback') }} {{ var.json.get('tpl_macros_none', {'a': 1}) }}",
    "prev": "{{ prev_start_date_success }} {{ prev_data_interval_start_success }} {{ prev_data_interval_end_success }}",
    "inlets": "{{ inlets }} {{ outlets }}",
}

with DAG("tpl_macros", schedule=None):
    for name, template in FIELDS.items():
        BashOperator(task_id=name, bash_command=f"cat <<'END'\n{template}\nEND", env={"FIELD": template})
