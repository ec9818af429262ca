"""Whatever is sent to ragkit's own routes, no reply is a fault, and each is as described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fixed_chat import FixedChat
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from make_files import drawn_pdf, line
from packages import need
from served import make_index, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.long

EXAMPLES = 60


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("served") / "indexes"
    files = {
        "fees.md": "# Fees\n\nThe fee is five dollars a day.\n",
        "staff.pdf": drawn_pdf(line(72, 700, "The notice period is three months.")),
    }
    make_index(folder / "library", files).close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("home")))
        chat = FixedChat("The fee is five dollars a day [1].")
        settings: dict[str, Any] = {"models__embedder": "none", "serve__max_asks": 8}
        with serving(folder, "library", chat=chat, allow_index=True, **settings) as address:
            yield address


@pytest.mark.filterwarnings("ignore")  # of the fuzzer's own
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_no_request_is_a_fault_of_the_server(url: str, mode: str) -> None:
    need("schemathesis", "schemathesis is not installed: `pip install --group fuzz`")
    import schemathesis

    described: Any = schemathesis.openapi.from_url(f"{url}/ragkit/v1/openapi.json")
    tried: dict[str, int] = {}
    for found in described.get_all_operations():
        operation = found.ok()
        strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode])
        try:
            _try(strategy, tried, operation.label)
        except Unsatisfiable:  # it takes nothing that could be wrong
            continue

    assert sum(tried.values()) > EXAMPLES * 5


def _try(strategy: Any, tried: dict[str, int], label: str) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def check(case: Any) -> None:
        reply = case.call()
        tried[label] = tried.get(label, 0) + 1
        assert reply.status_code < 500, (label, case, reply.text)
        case.validate_response(reply, checks=_checks())

    check()


def _checks() -> list[Any]:
    from schemathesis.specs.openapi import checks

    return [checks.response_schema_conformance, checks.content_type_conformance]
