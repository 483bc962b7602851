"""amazon, against moto: S3, SQS, SNS, Lambda, and what goes from S3 to other places and back."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import datetime

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.notifications.sqs import SqsNotifier
from airflow.providers.amazon.aws.operators.lambda_function import (
    LambdaCreateFunctionOperator,
    LambdaInvokeFunctionOperator,
)
from airflow.providers.amazon.aws.operators.s3 import (
    S3CopyObjectOperator,
    S3CreateBucketOperator,
    S3CreateObjectOperator,
    S3DeleteObjectsOperator,
    S3FileTransformOperator,
    S3ListOperator,
)
from airflow.providers.amazon.aws.operators.sns import SnsPublishOperator
from airflow.providers.amazon.aws.operators.sqs import SqsPublishOperator
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.amazon.aws.sensors.sqs import SqsSensor
from airflow.providers.amazon.aws.transfers.ftp_to_s3 import FTPToS3Operator
from airflow.providers.amazon.aws.transfers.http_to_s3 import HttpToS3Operator
from airflow.providers.amazon.aws.transfers.local_to_s3 import LocalFilesystemToS3Operator
from airflow.providers.amazon.aws.transfers.s3_to_ftp import S3ToFTPOperator
from airflow.providers.amazon.aws.transfers.s3_to_sftp import S3ToSFTPOperator
from airflow.providers.amazon.aws.transfers.s3_to_sql import S3ToSqlOperator
from airflow.providers.amazon.aws.transfers.sftp_to_s3 import SFTPToS3Operator
from airflow.providers.amazon.aws.transfers.sql_to_s3 import SqlToS3Operator
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.providers.mysql.transfers.s3_to_mysql import S3ToMySqlOperator
from airflow.sdk import DAG, task

START = datetime(2025, 1, 1)


def rows_of(path: str):
    with open(path, newline="") as file:
        for line in file.read().splitlines():
            yield line.split(",")


with DAG("amazon_s3", schedule=None, start_date=START, tags=["providers"]):
    bucket = S3CreateBucketOperator(task_id="bucket", bucket_name="harbour")
    create = S3CreateObjectOperator(
        task_id="create", s3_bucket="harbour", s3_key="in/{{ run_id }}.txt", data="a,1\nb,2\n", replace=True
    )
    copy = S3CopyObjectOperator(
        task_id="copy",
        source_bucket_key="s3://harbour/in/{{ run_id }}.txt",
        dest_bucket_key="s3://harbour/out/copy.txt",
    )
    transform = S3FileTransformOperator(
        task_id="transform",
        source_s3_key="s3://harbour/out/copy.txt",
        dest_s3_key="s3://harbour/out/transformed.txt",
        transform_script="/bin/cp",
        replace=True,
    )
    names = S3ListOperator(task_id="names", bucket="harbour", prefix="out/")
    sensor = S3KeySensor(task_id="sensor", bucket_key="s3://harbour/out/copy.txt", poke_interval=1)
    # The test puts the object there, once this waits.
    deferred = S3KeySensor(
        task_id="deferred", bucket_name="harbour", bucket_key="late/*.txt", wildcard_match=True, deferrable=True,
        poke_interval=1,
    )
    remove = S3DeleteObjectsOperator(task_id="remove", bucket="harbour", keys=["out/copy.txt"])

    @task
    def with_hook() -> dict:
        hook = S3Hook()
        hook.load_string("from the hook", "hook.txt", bucket_name="harbour", replace=True)
        return {"read": hook.read_key("hook.txt", "harbour"), "exists": hook.check_for_key("nothing", "harbour")}

    bucket >> create >> copy >> [transform, sensor]
    bucket >> [deferred, with_hook()]
    transform >> names >> remove
    sensor >> remove


with DAG("amazon_messages", schedule=None, start_date=START, tags=["providers"]):

    @task
    def queues() -> dict:
        from airflow.providers.amazon.aws.hooks.sns import SnsHook
        from airflow.providers.amazon.aws.hooks.sqs import SqsHook

        hook = SqsHook()
        urls = {name: hook.create_queue(name)["QueueUrl"] for name in ("orders", "deferred", "notes", "topic")}
        topic = SnsHook().conn.create_topic(Name="news")["TopicArn"]
        arn = hook.conn.get_queue_attributes(QueueUrl=urls["topic"], AttributeNames=["QueueArn"])
        SnsHook().conn.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"])
        return {**urls, "news": topic}

    made = queues()
    publish = SqsPublishOperator(
        task_id="publish",
        sqs_queue=made["orders"],
        message_content="order of {{ dag.dag_id }}",
        on_success_callback=SqsNotifier(
            queue_url="{{ ti.xcom_pull('queues')['notes'] }}", message_body="{{ ti.task_id }} is done"
        ),
    )
    receive = SqsSensor(task_id="receive", sqs_queue=made["orders"], poke_interval=1)
    # The test sends the message, once this waits.
    receive_deferred = SqsSensor(task_id="receive_deferred", sqs_queue=made["deferred"], deferrable=True, poke_interval=1)
    news = SnsPublishOperator(task_id="news", target_arn=made["news"], message="it is {{ ds_nodash[:2] }}xx")
    publish >> receive


def function_code() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", "def handler(event, context):\n    return event\n")
    return packed.getvalue()


with DAG("amazon_lambda", schedule=None, start_date=START, tags=["providers"]):

    @task
    def role() -> str:
        from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

        made = AwsGenericHook(client_type="iam").conn.create_role(RoleName="worker", AssumeRolePolicyDocument="{}")
        return made["Role"]["Arn"]

    function = LambdaCreateFunctionOperator(
        task_id="function",
        function_name="echo",
        runtime="python3.11",
        role=role(),
        handler="main.handler",
        code={"ZipFile": function_code()},
    )
    function >> LambdaInvokeFunctionOperator(
        task_id="invoke", function_name="echo", payload=json.dumps({"who": "{{ dag.dag_id }}"})
    )


with DAG("amazon_transfers", schedule=None, start_date=START, tags=["providers"]):
    store = S3CreateBucketOperator(task_id="store", bucket_name="quay")

    @task
    def file() -> str:
        path = "rows.csv"
        with open(path, "w") as out:
            out.write("1,pears\n2,plums\n")
        # Tasks have a working folder each, so what is in it goes on as text.
        return open(path).read()

    upload = S3CreateObjectOperator(
        task_id="upload", s3_bucket="quay", s3_key="rows.csv", data="{{ ti.xcom_pull('file') }}", replace=True
    )
    local = LocalFilesystemToS3Operator(
        task_id="local", filename="/etc/hostname", dest_bucket="quay", dest_key="hostname", replace=True
    )
    http = HttpToS3Operator(
        task_id="http", http_conn_id="web", endpoint="/echo/s3", method="GET", s3_bucket="quay", s3_key="http.json",
        replace=True,
    )
    table = SQLExecuteQueryOperator(
        task_id="table",
        conn_id="pg",
        sql=["DROP TABLE IF EXISTS trees", "CREATE TABLE trees (id INTEGER, name TEXT)"],
        autocommit=True,
    )
    to_sql = S3ToSqlOperator(
        task_id="to_sql",
        s3_bucket="quay",
        s3_key="rows.csv",
        table="trees",
        column_list=["id", "name"],
        parser=rows_of,
        sql_conn_id="pg",
    )
    to_s3 = SqlToS3Operator(
        task_id="to_s3",
        sql_conn_id="pg",
        query="SELECT * FROM trees ORDER BY id",
        s3_bucket="quay",
        s3_key="trees.csv",
        replace=True,
        df_kwargs={"index": False},
    )
    maria_table = SQLExecuteQueryOperator(
        task_id="maria_table",
        conn_id="maria",
        sql=["DROP TABLE IF EXISTS trees", "CREATE TABLE trees (id INTEGER, name VARCHAR(40))"],
    )
    to_maria = S3ToMySqlOperator(
        task_id="to_maria",
        s3_source_key="s3://quay/rows.csv",
        mysql_table="trees",
        mysql_extra_options="FIELDS TERMINATED BY ',' LINES TERMINATED BY '\\n'",
        mysql_conn_id="maria_bulk",
    )
    to_sftp = S3ToSFTPOperator(
        task_id="to_sftp", sftp_conn_id="sftp", sftp_path="from_s3.csv", s3_bucket="quay", s3_key="rows.csv"
    )
    from_sftp = SFTPToS3Operator(
        task_id="from_sftp", sftp_conn_id="sftp", sftp_path="from_s3.csv", s3_bucket="quay", s3_key="by_sftp.csv"
    )
    to_ftp = S3ToFTPOperator(
        task_id="to_ftp", ftp_conn_id="ftp", ftp_path="from_s3.csv", s3_bucket="quay", s3_key="rows.csv"
    )
    from_ftp = FTPToS3Operator(
        task_id="from_ftp", ftp_conn_id="ftp", ftp_path="from_s3.csv", s3_bucket="quay", s3_key="by_ftp.csv"
    )
    [store, file()] >> upload
    store >> [local, http]
    [upload, table] >> to_sql >> to_s3
    [upload, maria_table] >> to_maria
    upload >> to_sftp >> from_sftp
    upload >> to_ftp >> from_ftp
