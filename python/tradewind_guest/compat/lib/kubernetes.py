"""Parts of a pod as Airflow 1 and 2 wrote them, made into those of the Kubernetes client."""

from __future__ import annotations

from typing import Any

from kubernetes.client import ApiClient, models

from tradewind_guest.compat.operator_arguments import pod_resources


def Volume(name: str, configs: dict[str, Any] | None = None, **parts: Any) -> models.V1Volume:  # noqa: N802
    """Make a volume of a mapping such as ``{"persistentVolumeClaim": {"claimName": "x"}}``."""
    if configs is None:
        return models.V1Volume(name=name, **parts)
    return ApiClient()._ApiClient__deserialize_model({"name": name, **configs}, models.V1Volume)


def VolumeMount(  # noqa: N802
    name: str, mount_path: str, sub_path: str | None = None, read_only: bool | None = None
) -> models.V1VolumeMount:
    """Make the mount of a volume."""
    return models.V1VolumeMount(name=name, mount_path=mount_path, sub_path=sub_path, read_only=read_only)


def Port(name: str | None = None, container_port: int | None = None) -> models.V1ContainerPort:  # noqa: N802
    """Make a port of a container."""
    return models.V1ContainerPort(name=name, container_port=container_port)


def Resources(**amounts: Any) -> models.V1ResourceRequirements:  # noqa: N802
    """Make resource requirements of ``request_cpu=``, ``limit_memory=`` and the like."""
    return pod_resources(amounts)["container_resources"]


def PodRuntimeInfoEnv(name: str, field_path: str) -> models.V1EnvVar:  # noqa: N802
    """Make a variable that holds a fact about its pod."""
    source = models.V1EnvVarSource(field_ref=models.V1ObjectFieldSelector(field_path=field_path))
    return models.V1EnvVar(name=name, value_from=source)
