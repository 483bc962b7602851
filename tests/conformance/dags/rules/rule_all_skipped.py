"""Trigger rule all_skipped over every mix of upstream states."""

from airflow.sdk import DAG
from conformance_tools import every_mix

with DAG("rule_all_skipped", schedule=None):
    every_mix("all_skipped")
