"""Behind a proxy, each client counts by its own address, if the operator trusts the proxy."""

from pathlib import Path

import httpx
import pytest

from tests.support import Server


@pytest.mark.parametrize(("trusted", "second"), [("127.0.0.0/8", 401), ("", 429)])
def test_failed_log_ins_count_by_the_address_that_a_trusted_proxy_tells(
    tmp_path: Path, trusted: str, second: int
) -> None:
    with Server(tmp_path, trusted_proxies=trusted, login_attempts_address=1) as server:
        for client, status in (("192.0.2.1", 401), ("192.0.2.2", second)):
            answer = httpx.post(
                f"{server.url}/v1/sessions",
                json={"login": f"nobody{client[-1]}", "password": "wrong password"},
                headers={"X-Forwarded-For": client},
            )
            assert answer.status_code == status, answer.text
