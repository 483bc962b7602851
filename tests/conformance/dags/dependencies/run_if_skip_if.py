"""@task with run_if and skip_if."""

from airflow.sdk import DAG, task

with DAG("run_if_skip_if", schedule=None):

    @task.run_if(lambda context: context["params"].get("go", True))
    @task
    def runs() -> str:
        return "ran"

    @task.run_if(lambda context: False, skip_message="not today")
    @task
    def does_not_run() -> str:
        return "ran"

    @task.skip_if(lambda context: context["ds"] == "2026-01-01")
    @task
    def skipped() -> str:
        return "ran"

    @task.skip_if(lambda context: False)
    @task.bash
    def bash_runs() -> str:
        return "echo ran"

    runs()
    does_not_run()
    skipped()
    bash_runs()
