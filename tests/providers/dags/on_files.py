"""ssh, sftp, ftp and common.io, against real servers."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.io.operators.file_transfer import FileTransferOperator
from airflow.providers.ftp.hooks.ftp import FTPHook
from airflow.providers.ftp.operators.ftp import FTPFileTransmitOperator, FTPOperation
from airflow.providers.ftp.sensors.ftp import FTPSensor
from airflow.providers.sftp.hooks.sftp import SFTPHook
from airflow.providers.sftp.operators.sftp import SFTPOperation, SFTPOperator
from airflow.providers.sftp.sensors.sftp import SFTPSensor
from airflow.providers.ssh.hooks.ssh import SSHHook
from airflow.providers.ssh.operators.ssh import SSHOperator
from airflow.providers.ssh.operators.ssh_remote_job import SSHRemoteJobOperator
from airflow.sdk import DAG, ObjectStoragePath, Variable, task

START = datetime(2025, 1, 1)
SCRATCH = "{{ var.value.scratch }}"

with DAG("files_ssh", schedule=None, start_date=START, tags=["providers"]):
    SSHOperator(
        task_id="command",
        ssh_conn_id="ssh",
        command="echo out of {{ dag.dag_id }}; echo $COLOUR",
        environment={"COLOUR": "blue"},
    )
    SSHOperator(task_id="skips", ssh_conn_id="ssh", command="exit 99", skip_on_exit_code=99)
    SSHOperator(task_id="fails", ssh_conn_id="ssh", command="echo wrong >&2; exit 3")
    # Starts the command, and waits for it in a trigger.
    SSHRemoteJobOperator(
        task_id="job",
        ssh_conn_id="ssh",
        command=f"sleep 1; echo job done | tee {SCRATCH}/job.txt",
        remote_base_dir=f"{SCRATCH}/jobs",
        remote_os="posix",
        poll_interval=1,
        cleanup="on_success",
    )

    @task
    def with_hook() -> str:
        with SSHHook(ssh_conn_id="ssh").get_conn() as client:
            _, out, _ = client.exec_command("echo through a hook")
            return out.read().decode().strip()

    with_hook()


with DAG("files_sftp", schedule=None, start_date=START, tags=["providers"]):

    @task
    def write() -> str:
        path = f"{Variable.get('scratch')}/to_sftp.txt"
        with open(path, "w") as file:
            file.write("by sftp")
        return path

    written = write()
    put = SFTPOperator(
        task_id="put",
        ssh_conn_id="sftp",
        local_filepath=written,
        remote_filepath="inbox/new/put.txt",
        operation=SFTPOperation.PUT,
        create_intermediate_dirs=True,
    )
    get = SFTPOperator(
        task_id="get",
        ssh_conn_id="sftp",
        local_filepath=f"{SCRATCH}/from_sftp.txt",
        remote_filepath="inbox/new/put.txt",
        operation=SFTPOperation.GET,
    )
    sensor = SFTPSensor(task_id="sensor", sftp_conn_id="sftp", path="inbox/new/put.txt", poke_interval=1)
    deferred = SFTPSensor(
        task_id="deferred", sftp_conn_id="sftp", path="inbox/new", file_pattern="*.txt", deferrable=True, poke_interval=1
    )

    @task
    def with_hook() -> list[str]:
        return SFTPHook(ssh_conn_id="sftp").list_directory("inbox/new")

    put >> [get, sensor, deferred, with_hook()]


with DAG("files_ftp", schedule=None, start_date=START, tags=["providers"]):

    @task
    def write() -> str:
        path = f"{Variable.get('scratch')}/to_ftp.txt"
        with open(path, "w") as file:
            file.write("by ftp")
        return path

    put = FTPFileTransmitOperator(
        task_id="put", ftp_conn_id="ftp", local_filepath=write(), remote_filepath="/put.txt", operation=FTPOperation.PUT
    )
    get = FTPFileTransmitOperator(
        task_id="get",
        ftp_conn_id="ftp",
        local_filepath=f"{SCRATCH}/from_ftp.txt",
        remote_filepath="/put.txt",
        operation=FTPOperation.GET,
    )
    sensor = FTPSensor(task_id="sensor", ftp_conn_id="ftp", path="/put.txt", poke_interval=1)

    @task
    def with_hook() -> list[str]:
        return FTPHook(ftp_conn_id="ftp").list_directory("/")

    put >> [get, sensor, with_hook()]


with DAG("files_storage", schedule=None, start_date=START, tags=["providers"]):

    @task
    def local() -> dict:
        folder = ObjectStoragePath(f"file://{Variable.get('scratch')}/storage")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "a.txt").write_text("local")
        return {"read": (folder / "a.txt").read_text(), "names": [path.name for path in folder.iterdir()]}

    @task
    def remote() -> ObjectStoragePath:
        bucket = ObjectStoragePath("s3://dock", conn_id="aws_default")
        bucket.mkdir(exist_ok=True)
        path = bucket / "b.txt"
        with path.open("w") as file:
            file.write("remote")
        # Handed on as it is.
        return path

    @task
    def read(path: ObjectStoragePath) -> dict:
        return {"text": path.read_text(), "size": path.stat().st_size, "key": path.key, "conn_id": path.conn_id}

    to_s3 = FileTransferOperator(
        task_id="to_s3",
        src=f"file://{SCRATCH}/storage/a.txt",
        dst="s3://dock/copied.txt",
        dest_conn_id="aws_default",
        overwrite=True,
    )
    to_file = FileTransferOperator(
        task_id="to_file",
        src="s3://dock/copied.txt",
        source_conn_id="aws_default",
        dst=f"file://{SCRATCH}/storage/back.txt",
        overwrite=True,
    )
    made = remote()
    read(made)
    [local(), made] >> to_s3 >> to_file
