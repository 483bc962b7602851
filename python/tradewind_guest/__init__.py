"""The guest side of Tradewind: runs Airflow DAG files and tasks in forked children of a warm interpreter.

``zygote`` is the process that the Rust supervisor starts; it forks ``task_host`` for each task and ``parse_host`` for
each DAG file. The package is not installed: the supervisor puts its folder on ``PYTHONPATH``.
"""
