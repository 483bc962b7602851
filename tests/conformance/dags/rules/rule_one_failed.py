"""Trigger rule one_failed over every mix of upstream states."""

from airflow.sdk import DAG
from conformance_tools import every_mix

with DAG("rule_one_failed", schedule=None):
    every_mix("one_failed")
