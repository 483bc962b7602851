"""Trigger rule always over every mix of upstream states."""

from airflow.sdk import DAG
from conformance_tools import every_mix

with DAG("rule_always", schedule=None):
    every_mix("always")
