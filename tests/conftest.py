"""What every test shares: an environment that holds nothing of the user's, and deterministic properties."""

import os
import re
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Names that the engine or an official SDK reads: credentials, addresses, settings, outgoing proxies.
FOREIGN = re.compile(
    r"_API_(KEY|BASE|VERSION)|_AUTH_TOKEN|^(ROTATOR|OPENAI|ANTHROPIC|GEMINI|GOOGLE|MODEL_ROUTE|TIMEOUT|STREAM)_"
    r"|^(GLOBAL_TIMEOUT|DRAIN_SECONDS|TRUSTED_SESSION_ID_FIELDS|SSL_CERT_FILE)$|_PROXY(_URL)?$",
    re.IGNORECASE,
)

# Neither the examples nor a verdict may depend on how busy the machine is.
settings.register_profile("rotator", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rotator")


@pytest.fixture(autouse=True, scope="session")
def clean_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the user's keys, settings, outgoing proxies or state folder; a test sets what it needs itself."""
    with pytest.MonkeyPatch.context() as patch:
        for name in filter(FOREIGN.search, list(os.environ)):
            patch.delenv(name)
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield
