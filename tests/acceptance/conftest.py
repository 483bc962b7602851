"""The order of things: start, run what must run before there is any data, lay out the data, run everything at once.

All runs are triggered by the two fixtures; the tests look at what became of them, and go on where a row of
seed_dags/README.md asks for a second run. test_4_later.py moves the clock, so it comes last.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import data  # noqa: E402
from world import World  # noqa: E402

#: DAGs of which a first run is made before there are data, folders, pools and the name `prometheus`.
BARE = (
    "custom_exceptions", "dbt_pipeline", "deep_learning_bash", "file_handoff", "performance_sensor", "cpu_pool",
    "database_pool", "finance_queue", "k8s_gpu_training",
)  # fmt: skip
BARE_SCHEDULED = ("titanic_ml_pipeline_fixed",)
#: DAGs that need nothing of the kind, run by hand.
PLAIN = (
    "ml_retraining", "callbacks_retries", "multi_model_branch", "multi_model_branch_fixed", "metrics_prometheus",
    "xcom_small_data", "explicit_dependencies", "variables", "connection_hook", "idempotent_extract", "retries_fixed",
    "email_alerts_fixed", "my_first_spell", "spell_xcom", "notify_example", "custom_operator", "custom_hook",
    "variable_cache", "long_running_timeout", "k8s_pandas", "sagemaker_deployment_fixed", "dependencies_chain",
    "dependencies_list", "dependencies_set_downstream", "mlops_xcom", "mlops", "postgres_hook", "postgres_hook_fixed",
    "bash_and_mysql",
)  # fmt: skip
#: DAGs with a schedule: switched on, the last date makes a run.
PLAIN_SCHEDULED = (
    "weather_data_pipeline", "process_sales_data", "process_marketing_data",
    "process_support_data", "long_running_external_sensor", "my_dag_in_context", "my_dag", "nightly_features",
    "every_day_at_0215", "weekdays_at_0130", "every_5_minutes", "daily_ml_pipeline", "ml_daily",
)  # fmt: skip
WITH_DATA = (
    "great_expectations_check", "great_expectations_check_fixed", "dbt_pipeline", "deep_learning_bash",
    "file_handoff", "performance_sensor", "spark_big_data", "titanic_ml_pipeline_fixed", "k8s_gpu_training",
)  # fmt: skip
WITH_DATA_SCHEDULED = (
    # Not with weather_data_pipeline: both create the table "if not exists", which in PostgreSQL can collide.
    "weather_data_pipeline_fixed", "ml_retraining_basic", "titanic_ml_pipeline", "mlflow_integration", "s3_pytorch_k8s_fixed", "wait_for_file", "weekly_london_retrain"
)  # fmt: skip
#: What reads the training data that ml_retraining_basic writes.
WITH_TRAINING_DATA = ("custom_exceptions", "mlflow_retraining", "mlflow_retraining_fixed", "spark_training")


@pytest.fixture(scope="session")
def bare() -> Iterator[World]:
    """Everything is started, nothing is laid out; runs that do not need it, or fail without it, are on their way."""
    work = Path("/tmp/world")
    work.mkdir()
    world = World(work)
    try:
        world.start()
        data.titanic(Path("/opt/airflow/data/titanic.csv"), telling=False)
        world.has_read_all_files()
        world.kubernetes.exit_codes["ends-with-3"] = 3
        world.bare = world.begin(BARE, lambda dag_id: world.trigger(dag_id, "-r", "ends-with-3"))
        world.bare.update(world.begin(BARE_SCHEDULED, world.scheduled))
        world.first = world.begin(PLAIN, lambda dag_id: world.trigger(dag_id, "-r", "first"))
        world.first.update(world.begin(PLAIN_SCHEDULED, world.scheduled))
        yield world
    finally:
        world.stop()


@pytest.fixture(scope="session")
def world(bare: World) -> World:
    """The runs of `bare` have seen that nothing is there; now all is laid out, and everything runs."""
    world = bare
    for dag_id in ("custom_exceptions", "dbt_pipeline", "deep_learning_bash", "file_handoff", "performance_sensor"):
        world.settle(lambda dag_id=dag_id: world.before(dag_id).finish())
    world.settle(lambda: world.before("titanic_ml_pipeline_fixed").waits("prepare_data", "success"))
    world.lay_out()
    world.mlflow_is_up()
    world.first.update(world.begin(WITH_DATA, lambda dag_id: world.trigger(dag_id, "-r", "first")))
    world.first.update(world.begin(WITH_DATA_SCHEDULED, world.scheduled))
    world.settle(lambda: world.run("ml_retraining_basic").finish())
    world.first.update(world.begin(WITH_TRAINING_DATA, lambda dag_id: world.trigger(dag_id, "-r", "first")))
    return world
