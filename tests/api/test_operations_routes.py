"""/health, /ready, /metrics, /models/, /docs, and unexpected requests and errors."""

import html.parser
import logging
from pathlib import Path

import pytest
from small_service import Service, error_of

from cineclub.api.security_middleware import SecurityMiddleware
from cineclub.domain.recommend.request import RecommendationRequest

pytestmark = pytest.mark.anyio


async def test_health_asks_nobody(refusing: Service) -> None:
    """/health responds whatever the state of the database."""
    response = await refusing.client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_ready_with_a_model(service: Service) -> None:
    """With a model in memory the service is ready."""
    response = await service.client.get("/ready")
    assert response.status_code == 200
    assert response.json() == {
        "ready": True,
        "degraded": False,
        "database": "reachable",
        "model": {"name": "ease", "version": 1},
        "popular": False,
    }


async def test_ready_without_a_model(untrained: Service) -> None:
    """Before the first promotion the popular list is enough."""
    response = await untrained.client.get("/ready")
    assert response.status_code == 200
    assert (response.json()["model"], response.json()["popular"]) == (None, True)


async def test_not_ready_while_there_is_nothing(empty: Service) -> None:
    """Without ratings the service is not ready, so that a load balancer leaves it out."""
    response = await empty.client.get("/ready")
    assert response.status_code == 503
    assert response.json()["database"] == "reachable"


async def test_production_names_the_served_version(service: Service) -> None:
    """The model in production is shown with its verdict."""
    document = (await service.client.get("/models/production")).json()
    assert (document["name"], document["version"], document["verdict"]) == ("ease", 1, "PROMOTE")
    assert document["n_movies"] == 40


async def test_no_production_is_404(refusing: Service) -> None:
    """Before the first promotion /models/production is 404 with the next step."""
    response = await refusing.client.get("/models/production")
    assert response.status_code == 404
    assert "POST /training/" in error_of(response)["message"]


async def test_metrics_have_closed_labels(service: Service) -> None:
    """Requests are counted by route template, never by raw path; unknown paths and methods share a label."""
    await service.predict(2)
    await service.predict("nobody")
    await service.client.get("/training/11111111-1111-1111-1111-111111111111")
    await service.client.get("/secret/raw/path")
    await service.client.request("BREW", "/predict/")
    await service.client.delete("/ratings/alice/1001")
    await service.client.post("/predict/", json={})
    text = (await service.client.get("/metrics")).text
    assert 'cineclub_http_requests_total{method="POST",route="/predict/",status="200"} 2.0' in text
    assert 'cineclub_http_requests_total{method="POST",route="/predict/",status="422"} 1.0' in text
    assert 'cineclub_http_requests_total{method="GET",route="/training/{training_id}",status="404"} 1.0' in text
    assert 'cineclub_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'method="OTHER"' in text
    assert 'cineclub_http_request_duration_seconds_bucket{le="0.1",method="POST",route="/predict/"}' in text
    assert 'cineclub_predictions_total{degraded="false",model_version="1",strategy="model"} 1.0' in text
    assert 'cineclub_predictions_total{degraded="false",model_version="1",strategy="popular"} 1.0' in text
    assert "cineclub_model_version 1.0" in text
    assert "cineclub_prediction_log_dropped_rows_total 0.0" in text
    for raw in ("1111-1111", "secret", "alice", "BREW"):
        assert raw not in text


async def test_an_unforeseen_error_shows_an_id_and_no_traceback(
    untrained: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An internal error is answered with an id that is logged beside the cause, and is counted."""

    async def fail(request: RecommendationRequest) -> None:
        message = f"a fault for {request.user_id}, {request.top_n}"
        raise RuntimeError(message)

    monkeypatch.setattr(untrained.parts.predictor, "predict", fail)
    with caplog.at_level(logging.ERROR):
        response = await untrained.client.post("/predict/", json={"user_id": 1})
    assert response.status_code == 500
    error = error_of(response)
    assert error["code"] == "internal_error"
    assert "fault" not in response.text.replace("internal_error", "")
    assert "Traceback" not in response.text
    assert error["error_id"] in caplog.text
    assert "a fault for 1, 10" in caplog.text
    text = (await untrained.client.get("/metrics")).text
    assert 'cineclub_http_requests_total{method="POST",route="/predict/",status="500"} 1.0' in text


async def test_a_fault_of_the_security_middleware_shows_an_id_too(
    refusing: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of the security middleware also shows an id, no traceback, and the security headers."""

    def fail(*_: object) -> None:
        message = "a fault of the shield"
        raise RuntimeError(message)

    monkeypatch.setattr(SecurityMiddleware, "_rejection", fail)
    with caplog.at_level(logging.ERROR):
        response = await refusing.client.get("/health")
    assert (response.status_code, error_of(response)["code"]) == (500, "internal_error")
    assert error_of(response)["error_id"] in caplog.text
    assert "shield" not in response.text
    assert response.headers.get_list("x-content-type-options") == ["nosniff"]


async def test_unknown_addresses_and_methods_are_json(refusing: Service) -> None:
    """404 and 405 have the form of every other error."""
    unknown = await refusing.client.get("/nothing")
    method = await refusing.client.get("/predict/")
    assert (unknown.status_code, error_of(unknown)["code"]) == (404, "no_such_page")
    assert (method.status_code, error_of(method)["code"]) == (405, "method_not_allowed")
    assert method.headers["Allow"] == "POST"
    for http_method, address, allowed in [
        ("GET", "/models/rollback", "POST"),
        ("POST", "/models/production", "GET"),
        ("OPTIONS", "/training/", "GET, POST"),
        ("PUT", "/training/abc", "DELETE, GET"),
        ("DELETE", "/users/1/ratings", "GET"),
    ]:
        refused = await refusing.client.request(http_method, address)
        assert (refused.status_code, refused.headers["Allow"]) == (405, allowed), address
    assert (await refusing.client.get("/models/" + "9" * 5000)).status_code == 404


async def test_openapi_documents_every_route_and_field(refusing: Service) -> None:
    """Every operation has a description, its errors, and request bodies with an example."""
    document = (await refusing.client.get("/openapi.json")).json()
    assert {"/predict/", "/ratings/", "/training/", "/training/{training_id}", "/models/production"} <= set(
        document["paths"]
    )
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["description"]
            assert operation["tags"]
    assert document["components"]["schemas"]["PredictRequest"]["examples"]
    user_id = document["components"]["schemas"]["PredictRequest"]["properties"]["user_id"]
    assert [option["type"] for option in user_id["anyOf"]] == ["string", "integer", "null"]


class Tags(html.parser.HTMLParser):
    """Collects the resources of a page and its unclosed tags."""

    def __init__(self) -> None:
        """Start with nothing."""
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record a tag and its reference."""
        self.loads += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag."""
        assert self.open.pop() == tag


async def test_docs_work_offline(refusing: Service) -> None:
    """The page is self-contained: every route with a command to paste, and no external resource."""
    response = await refusing.client.get("/docs")
    tags = Tags()
    tags.feed(response.text)
    assert tags.open == []
    assert tags.loads == ["/openapi.json"]
    assert "curl -X POST http://127.0.0.1:8000/predict/" in response.text
    assert "Schindler&#x27;s List" in response.text


def test_the_api_imports_nothing_heavy(home: Path) -> None:
    """Importing the API and building the application loads none of the slow libraries."""
    import subprocess  # noqa: PLC0415 - a process of its own shows what was imported
    import sys  # noqa: PLC0415

    code = (
        "import sys; from pathlib import Path; import cineclub.processes.api\n"
        "from cineclub.bootstrap.serving import api_parts\n"
        "from cineclub.api.app import create_app; from cineclub.settings import Settings\n"
        "app = create_app(api_parts(Settings(home=Path(sys.argv[1]), database_url='postgresql://x/y')))\n"
        "app.openapi()\n"
        "print(sorted({'mlflow', 'numba', 'scipy', 'pandas', 'pyarrow', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
