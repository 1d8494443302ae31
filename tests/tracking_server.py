"""An MLflow tracking server on MLflow's own store and messages, which a test stops, starts and slows down.

The package that serves MLflow's pages is not installed; this answers the calls of its client that cineclub makes.
"""

import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.protobuf.message import Message
from mlflow.entities import Metric, Param, RunStatus, RunTag, ViewType
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.exceptions import MlflowException
from mlflow.protos import model_registry_pb2 as registry_messages
from mlflow.protos import service_pb2 as tracking_messages
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore
from mlflow.utils.proto_json_utils import message_to_json, parse_dict
from mlflow.utils.rest_utils import extract_api_info_for_service

Respond = Callable[[Any], Message]


@dataclass
class TrackingServer:
    """A server at one address, over a store and a folder of artifacts.

    Attributes:
        n_requests: the requests that it has answered, through all restarts.
        seconds_per_byte: how slowly it sends its responses.
    """

    store_uri: str
    artifacts: Path
    port: int = 0
    n_requests: int = 0
    seconds_per_byte: float = 0.0
    _server: ThreadingHTTPServer | None = None
    _responders: dict[tuple[str, str], tuple[type[Message], Respond]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the store, and choose the address."""
        tracking = TrackingStore(self.store_uri, self.artifacts.as_uri())
        responders = tracking_responders(tracking) | registry_responders(RegistryStore(self.store_uri))
        for service in (tracking_messages.MlflowService, registry_messages.ModelRegistryService):
            for message, (path, method) in extract_api_info_for_service(service, "/api/2.0").items():
                if message in responders:
                    self._responders[method, path] = (message, responders[message])
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])

    @property
    def url(self) -> str:
        """The address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Close the port; requests under way end."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def respond(self, method: str, path: str, arguments: dict[str, Any]) -> tuple[int, str]:
        """Return status and body of the response to a request."""
        self.n_requests += 1
        if (method, path) not in self._responders:
            return 404, json.dumps({"error_code": "ENDPOINT_NOT_FOUND", "message": path})
        message, respond = self._responders[method, path]
        try:
            return 200, message_to_json(respond(_parsed(message(), arguments)))
        except MlflowException as error:
            return error.get_http_status_code(), error.serialize_as_json()


def _parsed(message: Message, arguments: dict[str, Any]) -> Message:
    """Return a message with the arguments of a request, of which a query gives texts alone."""
    fields = {field.name: field for field in message.DESCRIPTOR.fields}
    values = {
        name: value[0] if isinstance(value, list) and not fields[name].is_repeated else value
        for name, value in arguments.items()
        if name in fields
    }
    parse_dict(values, message)
    return message


def _handler(server: TrackingServer) -> type[BaseHTTPRequestHandler]:
    """Return the handler of a server's requests."""

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            address = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            arguments = json.loads(body) if body else parse_qs(address.query)
            status, text = server.respond(self.command, address.path, arguments)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            if not server.seconds_per_byte:
                self.wfile.write(text.encode())
                return
            for byte in text.encode():
                time.sleep(server.seconds_per_byte)
                self.wfile.write(bytes([byte]))

        def do_GET(self) -> None:
            self._respond()

        def do_POST(self) -> None:
            self._respond()

        def do_DELETE(self) -> None:
            self._respond()

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    return Handler


def tracking_responders(store: TrackingStore) -> dict[type[Message], Respond]:
    """Return the responses about experiments and runs."""
    messages = tracking_messages

    def experiment(request: Any) -> Message:
        hits = store.get_experiment_by_name(request.experiment_name)
        if hits is None:
            message = f"no experiment {request.experiment_name}"
            raise MlflowException(message, error_code=RESOURCE_DOES_NOT_EXIST)
        return messages.GetExperimentByName.Response(experiment=hits.to_proto())

    def create_run(request: Any) -> Message:
        tags = [RunTag(tag.key, tag.value) for tag in request.tags]
        run = store.create_run(request.experiment_id, request.user_id, request.start_time, tags, request.run_name)
        return messages.CreateRun.Response(run=run.to_proto())

    def search_runs(request: Any) -> Message:
        hits = store.search_runs(
            list(request.experiment_ids), request.filter, ViewType.ACTIVE_ONLY, request.max_results, [], None
        )
        return messages.SearchRuns.Response(runs=[run.to_proto() for run in hits])

    def log_batch(request: Any) -> Message:
        metrics = [Metric.from_proto(metric) for metric in request.metrics]
        params = [Param.from_proto(parameter) for parameter in request.params]
        store.log_batch(request.run_id, metrics, params, [RunTag.from_proto(tag) for tag in request.tags])
        return messages.LogBatch.Response()

    def update_run(request: Any) -> Message:
        end_time = request.end_time if request.HasField("end_time") else None
        name = request.run_name or None
        status = request.status if request.HasField("status") else RunStatus.RUNNING
        info = store.update_run_info(request.run_id, status, end_time, name)
        return messages.UpdateRun.Response(run_info=info.to_proto())

    return {
        messages.GetExperimentByName: experiment,
        messages.CreateExperiment: lambda request: messages.CreateExperiment.Response(
            experiment_id=store.create_experiment(request.name, request.artifact_location or None, [])
        ),
        messages.CreateRun: create_run,
        messages.GetRun: lambda request: messages.GetRun.Response(run=store.get_run(request.run_id).to_proto()),
        messages.SearchRuns: search_runs,
        messages.LogBatch: log_batch,
        messages.UpdateRun: update_run,
    }


def registry_responders(store: RegistryStore) -> dict[type[Message], Respond]:
    """Return the responses about the registered model, its versions and their aliases."""
    messages = registry_messages

    def create_model(request: Any) -> Message:
        tags = [RegisteredModelTag(tag.key, tag.value) for tag in request.tags]
        model = store.create_registered_model(request.name, tags, request.description)
        return messages.CreateRegisteredModel.Response(registered_model=model.to_proto())

    def search_models(request: Any) -> Message:
        hits = store.search_registered_models(request.filter, request.max_results, [], request.page_token or None)
        return messages.SearchRegisteredModels.Response(registered_models=[model.to_proto() for model in hits])

    def create_version(request: Any) -> Message:
        tags = [ModelVersionTag(tag.key, tag.value) for tag in request.tags]
        version = store.create_model_version(
            request.name, request.source, request.run_id or None, tags, None, request.description
        )
        return messages.CreateModelVersion.Response(model_version=version.to_proto())

    def search_versions(request: Any) -> Message:
        hits = store.search_model_versions(request.filter, request.max_results, [], request.page_token or None)
        versions = [version.to_proto() for version in hits]
        return messages.SearchModelVersions.Response(model_versions=versions, next_page_token=hits.token or "")

    def done(response: type[Message], action: Callable[[Any], None]) -> Respond:
        def respond(request: Any) -> Message:
            action(request)
            return response()

        return respond

    model = messages.GetRegisteredModel.Response
    version = messages.GetModelVersion.Response
    return {
        messages.CreateRegisteredModel: create_model,
        messages.SearchRegisteredModels: search_models,
        messages.GetRegisteredModel: lambda request: model(
            registered_model=store.get_registered_model(request.name).to_proto()
        ),
        messages.DeleteRegisteredModel: done(
            messages.DeleteRegisteredModel.Response, lambda request: store.delete_registered_model(request.name)
        ),
        messages.SetRegisteredModelTag: done(
            messages.SetRegisteredModelTag.Response,
            lambda request: store.set_registered_model_tag(
                request.name, RegisteredModelTag(request.key, request.value)
            ),
        ),
        messages.CreateModelVersion: create_version,
        messages.SearchModelVersions: search_versions,
        messages.GetModelVersion: lambda request: version(
            model_version=store.get_model_version(request.name, request.version).to_proto()
        ),
        messages.DeleteModelVersion: done(
            messages.DeleteModelVersion.Response,
            lambda request: store.delete_model_version(request.name, request.version),
        ),
        messages.GetModelVersionDownloadUri: lambda request: messages.GetModelVersionDownloadUri.Response(
            artifact_uri=store.get_model_version_download_uri(request.name, request.version)
        ),
        messages.GetModelVersionByAlias: lambda request: messages.GetModelVersionByAlias.Response(
            model_version=store.get_model_version_by_alias(request.name, request.alias).to_proto()
        ),
        messages.SetRegisteredModelAlias: done(
            messages.SetRegisteredModelAlias.Response,
            lambda request: store.set_registered_model_alias(request.name, request.alias, request.version),
        ),
        messages.DeleteRegisteredModelAlias: done(
            messages.DeleteRegisteredModelAlias.Response,
            lambda request: store.delete_registered_model_alias(request.name, request.alias),
        ),
    }
