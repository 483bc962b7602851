"""max_active_tis_per_dag: over all runs of the DAG, one instance of the task at a time.

scenario:
  - trigger
  - trigger
  - trigger
  - wait
"""

import time

from airflow.sdk import DAG, get_current_context, task
from conformance_tools import note

with DAG("max_active_tis_per_dag", schedule=None):

    @task(max_active_tis_per_dag=1)
    def alone() -> list[float]:
        began = time.time()
        time.sleep(1)
        return [began, time.time()]

    @task
    def alone_check(span: list) -> None:
        import json
        import os
        from pathlib import Path

        path = Path(os.environ["CONFORMANCE_JOURNAL"]) / "max_active_tis_per_dag.spans"
        run_id = get_current_context()["run_id"]
        spans = json.loads(path.read_text()) if path.exists() and run_id != "run_1" else {}
        overlaps = any(span[0] < other[1] and other[0] < span[1] for other in spans.values())
        path.write_text(json.dumps({**spans, run_id: span}))
        note("max_active_tis_per_dag", "checked", overlaps=overlaps)

    alone_check(alone())
