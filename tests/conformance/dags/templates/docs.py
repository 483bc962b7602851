"""Documentation of DAGs, tasks and groups, tags, owners, display names: nothing of it changes a run."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, task

with DAG(
    "docs",
    schedule=None,
    doc_md=__doc__,
    description="documented",
    tags=["a", "b"],
    owner_links={"ann": "https://conformance.example"},
    dag_display_name="Documented \N{SNOWMAN}",
    default_args={"owner": "ann"},
) as dag:
    for kind in ("doc", "doc_md", "doc_json", "doc_yaml", "doc_rst"):
        EmptyOperator(task_id=kind, task_display_name=f"shown as {kind}", **{kind: "text"})
    with TaskGroup("group", tooltip="tip", ui_color="#000", group_display_name="shown group"):

        @task(task_display_name="shown", doc_md="*text*")
        def inside() -> str:
            """The docstring of the function."""
            return "ran"

        inside()
