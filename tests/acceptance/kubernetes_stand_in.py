"""A Kubernetes API server that plays the life of pods, and refuses what the published schemas do not allow.

Bodies are checked with `kubernetes-validate`, which carries the JSON schemas made from Kubernetes' OpenAPI document. Query
parameters and paths are those of the API reference; anything else is a 4xx, which fails the task that asked.
"""

from __future__ import annotations

import copy
import json
import re
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone

import kubernetes_validate
from stand_ins import Answer, HttpServer, Request

VERSION = "1.34"
POD = re.compile(r"^/api/v1/namespaces/([a-z0-9-]+)/pods(?:/([a-z0-9.-]+))?(/log)?$")
EVENTS = re.compile(r"^/api/v1/namespaces/([a-z0-9-]+)/events$")
DNS_NAME = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
LABEL_VALUE = re.compile(r"^(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?$")
LIST_PARAMETERS = {
    "allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "pretty", "resourceVersion",
    "resourceVersionMatch", "sendInitialEvents", "timeoutSeconds", "watch",
}  # fmt: skip
LOG_PARAMETERS = {
    "container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "pretty", "previous", "sinceSeconds", "stream",
    "tailLines", "timestamps",
}  # fmt: skip
#: Seconds after its creation at which a pod is scheduled, runs, and is over.
SCHEDULED, RUNNING, OVER = 0.3, 1.2, 2.5


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Refused(Exception):
    """The API server's `Status` of a refusal."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self.answer = Answer.of({**status, "code": code, "reason": reason, "message": message}, code)


@dataclass
class Pod:
    """A pod, what its container prints, and with which code it ends."""

    spec: dict
    created: float
    exit_code: int
    lines: list[str]
    patches: list[dict] = field(default_factory=list)
    deleted: bool = False
    #: The phases that were told to somebody, in order.
    phases: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.spec["metadata"]["name"]

    @property
    def container(self) -> dict:
        return self.spec["spec"]["containers"][0]

    def phase(self) -> str:
        age = time.time() - self.created
        if age < RUNNING:
            return "Pending"
        return "Running" if age < OVER else "Succeeded" if self.exit_code == 0 else "Failed"

    def view(self) -> dict:
        """The pod as the API shows it now."""
        phase = self.phase()
        if not self.phases or self.phases[-1] != phase:
            self.phases.append(phase)
        pod = copy.deepcopy(self.spec)
        scheduled = time.time() - self.created >= SCHEDULED
        status: dict = {"phase": phase, "startTime": stamp(self.created), "hostIP": "10.0.0.1", "podIP": "10.0.0.2"}
        status["conditions"] = [{"type": "PodScheduled", "status": "True" if scheduled else "False"}]
        state: dict = {"waiting": {"reason": "ContainerCreating"}}
        if phase == "Running":
            state = {"running": {"startedAt": stamp(self.created + RUNNING)}}
        elif phase != "Pending":
            ended = {"exitCode": self.exit_code, "reason": "Completed" if self.exit_code == 0 else "Error"}
            times = {"startedAt": stamp(self.created + RUNNING), "finishedAt": stamp(self.created + OVER)}
            state = {"terminated": {**ended, **times, "containerID": "containerd://0"}}
        container = {"name": self.container["name"], "image": self.container["image"], "imageID": "", "restartCount": 0}
        status["containerStatuses"] = [{**container, "ready": phase == "Running", "state": state}]
        if self.deleted:
            pod["metadata"]["deletionTimestamp"] = stamp(time.time())
        return {**pod, "status": status}


class Kubernetes(HttpServer):
    """The API server. `exit_codes` says with which code the pods of a run end (their label `run_id`); else it is 0."""

    def __init__(self) -> None:
        self.pods: list[Pod] = []
        self.exit_codes: dict[str, int] = {}
        #: What was refused, so that a test can say that nothing was.
        self.refusals: list[str] = []
        super().__init__(self.answer)

    def of_run(self, dag_id: str, run_id: str) -> list[Pod]:
        """The pods that the operator labelled with this DAG and run."""
        wanted = {"dag_id": dag_id, "run_id": run_id}
        return [pod for pod in self.pods if wanted.items() <= pod.spec["metadata"].get("labels", {}).items()]

    def kube_config(self) -> str:
        """The JSON of a kube config, for the connection."""
        cluster = {"name": "stand-in", "cluster": {"server": self.url}}
        context = {"name": "stand-in", "context": {"cluster": "stand-in", "user": "airflow"}}
        user = {"name": "airflow", "user": {"token": "stand-in-token"}}
        config = {"apiVersion": "v1", "kind": "Config", "current-context": "stand-in"}
        return json.dumps({**config, "clusters": [cluster], "contexts": [context], "users": [user]})

    def answer(self, request: Request) -> Answer:
        try:
            if request.headers.get("authorization") != "Bearer stand-in-token":
                raise Refused(401, "Unauthorized", "Unauthorized")
            return self.dispatch(request)
        except Refused as refused:
            # Asking for a pod that is gone is no mistake.
            if refused.answer.status != 404 or not POD.match(request.path):
                self.refusals.append(f"{request.method} {request.path}: {refused}")
            return refused.answer

    def dispatch(self, request: Request) -> Answer:
        if events := EVENTS.match(request.path):
            known_parameters(request, LIST_PARAMETERS)
            kind = {"kind": "EventList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}}
            return Answer.of({**kind, "items": self.events(events[1]) if request.method == "GET" else []})
        found = POD.match(request.path)
        if not found:
            raise Refused(404, "NotFound", f"the server could not find {request.path}")
        namespace, name, log = found.groups()
        if name is None and request.method == "POST":
            return self.create(namespace, request)
        if name is None and request.method == "GET":
            known_parameters(request, LIST_PARAMETERS)
            pods = [pod.view() for pod in self.in_namespace(namespace) if selected(pod, request)]
            return Answer.of({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": pods})
        pod = next((pod for pod in self.in_namespace(namespace) if pod.name == name), None)
        if pod is None:
            raise Refused(404, "NotFound", f'pods "{name}" not found')
        if log:
            known_parameters(request, LOG_PARAMETERS)
            return self.log(pod, request)
        return self.one(pod, request)

    def in_namespace(self, namespace: str) -> list[Pod]:
        return [pod for pod in self.pods if pod.spec["metadata"]["namespace"] == namespace and not pod.deleted]

    def create(self, namespace: str, request: Request) -> Answer:
        known_parameters(request, {"pretty", "dryRun", "fieldManager", "fieldValidation"})
        spec = request.json()
        try:
            kubernetes_validate.validate(spec, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Refused(422, "Invalid", f"the pod does not fit the schema of v{VERSION}: {error}") from error
        metadata = spec["metadata"]
        if metadata.setdefault("namespace", namespace) != namespace:
            raise Refused(400, "BadRequest", "the namespace of the object does not match the path")
        if not DNS_NAME.match(metadata.get("name", "")):
            raise Refused(422, "Invalid", f"metadata.name: {metadata.get('name')!r} is no DNS name")
        for key, value in metadata.get("labels", {}).items():
            if not LABEL_VALUE.match(value):
                raise Refused(422, "Invalid", f"metadata.labels.{key}: {value!r} is no label value")
        if any(pod.name == metadata["name"] for pod in self.in_namespace(namespace)):
            raise Refused(409, "AlreadyExists", f'pods "{metadata["name"]}" already exists')
        metadata["uid"] = f"00000000-0000-0000-0000-{len(self.pods):012d}"
        metadata["creationTimestamp"] = stamp(time.time())
        metadata["resourceVersion"] = "1"
        container = spec["spec"]["containers"][0]
        command = " ".join(container.get("command", []) + container.get("args", []))
        code = self.exit_codes.get(metadata.get("labels", {}).get("run_id", ""), 0)
        lines = [f"stand-in pod runs: {command}", f"stand-in pod ends with {code}"]
        pod = Pod(spec, time.time(), code, lines)
        self.pods.append(pod)
        return Answer.of(pod.view(), 201)

    def one(self, pod: Pod, request: Request) -> Answer:
        if request.method == "GET":
            known_parameters(request, {"pretty"})
        elif request.method == "PATCH":
            known_parameters(request, {"pretty", "dryRun", "fieldManager", "fieldValidation", "force"})
            pod.patches.append(request.json())
            labels = (request.json().get("metadata") or {}).get("labels") or {}
            pod.spec["metadata"].setdefault("labels", {}).update(labels)
        elif request.method == "DELETE":
            known_parameters(
                request,
                {"pretty", "dryRun", "gracePeriodSeconds", "orphanDependents", "propagationPolicy"}
                | {"ignoreStoreReadErrorWithClusterBreakingPotential"},
            )
            pod.deleted = True
        else:
            raise Refused(405, "MethodNotAllowed", f"{request.method} is not for a pod")
        return Answer.of(pod.view())

    def log(self, pod: Pod, request: Request) -> Answer:
        if request.query.get("container", [pod.container["name"]]) != [pod.container["name"]]:
            raise Refused(400, "BadRequest", f"container {request.query['container']} is not valid for the pod")
        if pod.phase() == "Pending":
            raise Refused(400, "BadRequest", "the container is waiting to start: ContainerCreating")
        if request.query.get("follow") == ["true"]:
            time.sleep(max(0.0, pod.created + OVER - time.time()))
        lines = pod.lines if pod.phase() != "Running" else pod.lines[:1]
        if request.query.get("timestamps") == ["true"]:
            at = datetime.fromtimestamp(pod.created + RUNNING, timezone.utc)
            lines = [f"{at.strftime('%Y-%m-%dT%H:%M:%S')}.{n:09d}Z {line}" for n, line in enumerate(lines)]
        return Answer(200, "".join(f"{line}\n" for line in lines).encode(), "text/plain")

    def events(self, namespace: str) -> list[dict]:
        del namespace  # A quiet cluster: no events are told.
        return []


def known_parameters(request: Request, known: set[str]) -> None:
    if unknown := set(request.query) - known:
        raise Refused(400, "BadRequest", f"{request.method} {request.path}: unknown parameters {sorted(unknown)}")


def selected(pod: Pod, request: Request) -> bool:
    """Equality-based and existence label selectors, which are what the operator sends."""
    labels = pod.spec["metadata"].get("labels", {})
    for term in filter(None, ",".join(request.query.get("labelSelector", [])).split(",")):
        if "!=" in term:
            key, value = term.split("!=")
            fits = labels.get(key) != value
        elif "=" in term:
            key, value = re.split("==?", term)
            fits = labels.get(key) == value
        else:
            fits = (term.lstrip("!") in labels) != term.startswith("!")
        if not fits:
            return False
    return True
