"""Texts with a credential in them and texts without one: the two lists of faults.md 5, as rows."""

from __future__ import annotations

from base64 import b64encode
from typing import Final

#: ``{}`` in what follows; a value that no pattern would know by itself.
VALUE: Final = "correct-horse-7-battery"
RANDOM: Final = "Zq7Lm2Xw9Rt4Kp8Vb3Nc6Hd1"
HEX: Final = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
BASIC: Final = b64encode(b"someone:" + VALUE.encode()).decode()

#: Keys and tokens of vendors, by their shape alone.
SHAPES: Final = (
    *(f"sk-{RANDOM}", f"sk-{HEX}", f"sk-proj-{RANDOM}_-{RANDOM}", f"sk-svcacct-{RANDOM}", f"sk-admin-{RANDOM}"),
    *(f"sk-ant-{kind}-{RANDOM}-AA" for kind in ("api03", "admin01", "oat01", "ort01", "sid01")),
    *(f"sk-or-v1-{HEX}", f"AIzaSy{RANDOM}", f"AQ.Ab{RANDOM}", f"ya29.{RANDOM}.x", f"1//0{RANDOM}", f"GOCSPX-{RANDOM}"),
    *(f"{start}{RANDOM}" for start in ("gsk_", "xai-", "hf_", "pplx-", "r8_", "nvapi-", "fw_", "csk-", "tgp_v1_")),
    *(f"{start}{RANDOM}" for start in ("rt_", "ghp_", "gho_", "ghu_", "ghs_", "github_pat_11A_", "glpat-")),
    *(f"ghr_{RANDOM}", f"sk_live_{RANDOM}", f"rk_live_{RANDOM}", "AKIAIOSFODNN7EXAMPLE", "ASIAIOSFODNN7EXAMPLE"),
    *(f"xox{kind}-123456789012-{RANDOM}" for kind in "abeoprs"),
    f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{RANDOM}",
)

#: Headers whose value is one, in any case and with "_" as well.
HEADERS: Final = (
    "authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key",
    "cookie", "set-cookie", "x-amz-security-token", "x-auth-token", "x-portkey-api-key", "cf-aig-authorization",
    "helicone-auth", "X-API-KEY", "x_api_key", "apikey",
)  # fmt: skip
HARMLESS_HEADERS: Final = (
    "content-type", "x-ratelimit-remaining-tokens", "x-ratelimit-limit-requests", "user-agent", "x-goog-api-client",
    "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-input-tokens-reset", "retry-after", "x-request-id",
    "anthropic-version", "x-rotator-credential", "idempotency-key", "etag", "session-id", "www-authenticate",
)  # fmt: skip

#: JSON members whose value is one.
MEMBERS: Final = (
    "api_key", "apiKey", "API-KEY", "OPENAI_API_KEY_2", "openaiApiKey", "x-api-key", "access_token", "accessToken",
    "refresh_token", "refreshToken", "id_token", "idToken", "session_token", "sessionToken", "auth_token", "authToken",
    "client_secret", "clientSecret", "password", "Password", "dbPassword", "private_key", "privateKey", "secret",
    "aws_secret_access_key", "authorization", "Authorization", "authorization_token", "cookie", "x-goog-api-key",
)  # fmt: skip
HARMLESS_MEMBERS: Final = (
    "token", "tokens", "max_tokens", "prompt_tokens", "top_logprobs", "key", "keys", "keyboard", "id", "signature",
    "thoughtSignature", "encrypted_content", "hash", "prompt_cache_key", "cache_key", "public_key", "key_id", "type",
    "next_page_token", "eos_token", "password_policy", "authorization_url", "secretary", "cookies_count", "valid_token",
    "androidToken", "credential", "user", "name", "tokenizer", "keywords",
)  # fmt: skip

#: Parameters of a query, as they stand in a URL.
PARAMETERS: Final = (
    "key", "api_key", "apikey", "access_token", "token", "sig", "code", "X-Amz-Signature", "%6bey", "%61pi_key",
    "client_secret", "KEY", "signature", "X-Amz-Security-Token",
)  # fmt: skip
HARMLESS_PARAMETERS: Final = ("alt", "pageToken", "model", "x", "keyword", "codec", "max_tokens", "key_id")

#: Texts around a secret (``{}``) that are named or shaped in other ways.
PLACES: Final = (
    "Authorization: Bearer {}",
    "authorization: bearer {}\r\nhost: a",
    '-H "Authorization: Bearer {}" -d x',
    "x-api-key: {}",
    "{'api-key': '{}'}",
    '{"api_key":"{}","model":"m"}',
    '{"input":"{\\"api_key\\":\\"{}\\",\\"n\\":1}"}',
    '{"input":"{\\"a\\":\\"{\\\\\\"password\\\\\\":\\\\\\"{}\\\\\\"}\\"}"}',
    '"partial_json":"{\\"password\\": \\"{}',
    'data: {"x":{"clientSecret": "{}"}}\n\ndata: [DONE]\n\n',
    "GET /v1/models?key={} failed",
    "https://a.example/x?a=1&access_token={}#top",
    "https://a.example/x?a=1&amp;token={}",
    "https://a.example/?to=https%3A%2F%2Fb.example%2F%3Fkey%3D{}%26n%3D1",
    '{"url":"https://a.example/?a=1\\u0026key={}"}',
    "https://someone:{}@a.example/v1",
    "https:\\/\\/someone:{}@a.example\\/v1",
    "postgres://{}@db/x",
    "Cookie: session={}; b=c",
    "Set-Cookie: __cf_bm={}; Path=/",
    "api_key={}",
    "Bearer {}",
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4\n\n{}\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\\n{}",
)

#: What must stay.
ORDINARY: Final = (
    "",
    "pip install sk-learn, then from hf_hub_download import xai-org/grok-1",
    "the bearer of this letter, a token of love, the key to it, basic authentication",
    "Bearer of bad news",
    "token: 5, max_tokens: 10, logprobs: [{'token': 'a', 'logprob': -0.1}]",
    "div.sk-estimator-doc-link.fitted#sk-container-id-1 > sk-text-repr-fallback-12",
    "def f(password=password, api_key=os.environ['API_KEY'], token=next(tokens)): return key",
    "api_key: str | None = None",
    "if a ? key : code && token == sig:",
    "task-force, risk-averse, start_of_part_two, rt_sigprocmask_something_else",
    "mailto:someone@a.example, https://a.example/@scope/pkg?x=1&y=2#z",
    "commit 0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d",
    "sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
    "req_0123456789abcdef0123, msg_01AbCdEfGhIjKlMnOpQr, toolu_01AbCdEfGhIjKlMnOpQrSt, chatcmpl-Zq7Lm2Xw9Rt4Kp8Vb",
    "EqQBCgIYAhIM" + RANDOM + "+/AKIA/sk/" + RANDOM + "==",
    "gAAAAABm" + RANDOM * 4,
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "api_key: [redacted], sk-***, password: ********, Authorization: Bearer [redacted]",
    "Authorization: Bearer $OPENAI_API_KEY, x-api-key: ${KEY_2}, api_key: <your key>",
    "Cookie: a small sweet thing; cookies are good",
    "very***important***text, **bold**, a * b ** c",
    "%20%41 100% \\u0041 \\n \\\\ \\\"",
    "\u00e4\u00f6\u00fc \U0001f511 \u2028 \x1b[2J",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA/AIza+sk",
)

SCHEMA: Final = {
    "type": "function",
    "function": {
        "name": "login",
        "description": "Log in with a password or an api_key.",
        "parameters": {
            "type": "object",
            "properties": {
                "password": {"type": "string", "description": "The password.", "minLength": 8},
                "api_key": {"anyOf": [{"type": "string"}, {"type": "null"}], "x-order": 2},
                "secret": {"type": ["string", "null"], "ui:widget": "password"},
                "key": {"type": "string", "enum": ["Enter", "Escape"]},
            },
            "required": ["password", "api_key"],
        },
    },
}

#: Wire JSON that stays as it is.
ORDINARY_JSON: Final = (
    {"tools": [SCHEMA]},
    {"password": {"type": "STRING"}},
    {"logprobs": {"content": [{"token": "secret", "bytes": [115], "top_logprobs": [{"token": "key"}]}]}},
    {"usage": {"prompt_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3}}, "max_tokens": 5},
    {"action": {"type": "keypress", "keys": ["CTRL", "C"]}, "key": "Return"},
    {"type": "thinking", "thinking": "Hm.", "signature": "EqQBCgIYAhIM" + RANDOM},
    {"type": "reasoning", "encrypted_content": "gAAAAABm" + RANDOM, "id": "rs_" + HEX},
    {"api_key": "", "password": None, "secret": False, "client_secret": "*****", "authorization": "Bearer [redacted]"},
    {"access_tokens": 5, "headers": {"x-ratelimit-remaining-tokens": "100"}},
)
