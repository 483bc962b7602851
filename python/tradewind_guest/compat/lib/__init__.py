"""The few things of Airflow 2 that nothing in Airflow 3 stands for."""
