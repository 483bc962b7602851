"""Says which package to install for a module that is missing."""

from __future__ import annotations

import re
from importlib import metadata

#: Airflow's namespaces: what lies below them is a provider of its own. Any other name is a provider itself.
NAMESPACES = frozenset({"apache", "atlassian", "cncf", "common", "dbt", "ibm", "microsoft"})

#: Libraries whose distribution is not named as their module; the longest prefix counts.
DISTRIBUTIONS = {
    "Crypto": "pycryptodome",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "airflow_client": "apache-airflow-client",
    "airflow.providers.jira": "apache-airflow-providers-atlassian-jira",
    "attr": "attrs",
    "azure.identity": "azure-identity",
    "azure.storage.blob": "azure-storage-blob",
    "bs4": "beautifulsoup4",
    "cosmos": "astronomer-cosmos",
    "cv2": "opencv-python-headless",
    "databricks.sdk": "databricks-sdk",
    "databricks.sql": "databricks-sql-connector",
    "dateutil": "python-dateutil",
    "discord": "discord.py",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "google.auth": "google-auth",
    "google.cloud.bigquery": "google-cloud-bigquery",
    "google.cloud.pubsub_v1": "google-cloud-pubsub",
    "google.cloud.storage": "google-cloud-storage",
    "google.oauth2": "google-auth",
    "google.protobuf": "protobuf",
    "googleapiclient": "google-api-python-client",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "kafka": "kafka-python",
    "ldap": "python-ldap",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "nacl": "PyNaCl",
    "pkg_resources": "setuptools",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "ruamel": "ruamel.yaml",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slack": "slackclient",
    "snowflake.connector": "snowflake-connector-python",
    "snowflake.snowpark": "snowflake-snowpark-python",
    "snowflake.sqlalchemy": "snowflake-sqlalchemy",
    "socks": "PySocks",
    "telegram": "python-telegram-bot",
    "umap": "umap-learn",
    "usb": "pyusb",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}

#: Providers that are no longer made: their last versions are for Airflow 2.
DISCONTINUED = frozenset({"apache-sqoop", "plexus", "qubole"})

_WHERE = "in the Python environment that its DAG file uses"


def hint(module: str, traceback: str) -> str:
    """Say how to get a missing module; the traceback shows what was asked for when only its first part is named."""
    wanted = _wanted(module, traceback)
    if distribution := _provider(wanted) or _known(wanted):
        if installed := _version(distribution):
            return (
                f"the installed {distribution} {installed} has no such module: it may have been moved in that version; "
                "change the import, or install the version that has it"
            )
        if distribution.removeprefix("apache-airflow-providers-") in DISCONTINUED:
            return (
                f"{distribution} is no longer made, and its last version is for Airflow 2: put what the file needs of "
                "it into the DAG folder"
            )
        return f"install {distribution} {_WHERE}"
    package = wanted.partition(".")[0]
    if package == "airflow":
        return "this path is not part of the installed Airflow version"
    return (
        f"install the package that provides {package!r} {_WHERE} (it is often named {package.replace('_', '-')!r}), "
        "or put the module into the DAG folder"
    )


def _wanted(module: str, traceback: str) -> str:
    """Return the whole path of the import that failed: Python names the first part of it that is missing."""
    named = re.findall(r"[\w.]+", re.sub(r"from\s+([\w.]+)\s+import\s+", r"\1.", traceback))
    return max((path for path in named if path.startswith(f"{module}.")), key=len, default=module)


def _provider(module: str) -> str | None:
    parts = module.split(".")
    if parts[:2] != ["airflow", "providers"] or len(parts) < 3 or _known(module):
        return None
    name = parts[2:4] if parts[2] in NAMESPACES else parts[2:3]
    return "-".join(["apache-airflow-providers", *name]).replace("_", "-")


def _known(module: str) -> str | None:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        if found := DISTRIBUTIONS.get(".".join(parts[:length])):
            return found
    return None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
