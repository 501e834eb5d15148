"""Rules of Chat Completions that look at more than one field (protocols.md 2.1-2.7, 6.1.4, 6.2-6.4)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from .calls import Call, Fault
from .fields_chat import ASSISTANTS, FUNCTIONS, JSON_SCHEMA, LEGACY_FUNCTIONS, MESSAGES, PARTS, TOOL_CHOICE
from .frames import dicts, dump
from .schemas import malformed, root_fault, strict_fault
from .shapes import Path, child, either, root, where

IMAGE_URL = re.compile(r"^https?://[^\s/]+")
DATA_URL = re.compile(r"^data:image/(?:png|jpe?g|gif|webp);base64,(.*)$", re.DOTALL)
STOP_LIMIT = 4
METADATA_KEY_LIMIT = 64


def pointer(path: Path) -> str:
    """messages[0].content[1].text"""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def is_base64(text: Any) -> bool:
    """Whether a string is plain base64 and not empty."""
    try:
        return isinstance(text, str) and bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False


def body_is_an_object(call: Call) -> Iterator[Fault]:
    """1.1"""
    if not isinstance(call.body, dict):
        yield Fault("Invalid request body: expected a JSON object.", None, "invalid_type")


def only_known_tool_choices(call: Call) -> Iterator[Fault]:
    """2.3: a string is one of three words"""
    for _, body in root(call):
        choice = body.get("tool_choice")
        if isinstance(choice, str) and choice not in ("none", "auto", "required"):
            supported = "'none', 'auto', and 'required'"
            yield Fault(
                f"Invalid value: '{choice}'. Supported values are: {supported}.", "tool_choice", "invalid_value"
            )


def only_known_function_calls(call: Call) -> Iterator[Fault]:
    """2.3: the legacy form likewise"""
    for _, body in root(call):
        choice = body.get("function_call")
        if isinstance(choice, str) and choice not in ("none", "auto"):
            text = f"Invalid value: '{choice}'. Supported values are: 'none' and 'auto'."
            yield Fault(text, "function_call", "invalid_value")


def at_most_four_stops(call: Call) -> Iterator[Fault]:
    """2.5"""
    for _, body in root(call):
        stop = body.get("stop")
        if isinstance(stop, list) and len(stop) > STOP_LIMIT:
            expected = f"Expected an array with maximum length {STOP_LIMIT}, but got an array with length {len(stop)}"
            yield Fault(f"Invalid 'stop': array too long. {expected} instead.", "stop", "array_above_max_length")


def metadata_keys_are_short(call: Call) -> Iterator[Fault]:
    """6.4.1"""
    for path, metadata in child(root, "metadata")(call):
        if any(len(key) > METADATA_KEY_LIMIT for key in metadata):
            text = f"Invalid '{pointer(path)}': a key is longer than {METADATA_KEY_LIMIT} characters."
            yield Fault(text, pointer(path), "string_above_max_length")


def bias_is_for_token_ids(call: Call) -> Iterator[Fault]:
    """2.5"""
    for path, bias in child(root, "logit_bias")(call):
        for key in bias:
            if not key.isascii() or not key.isdigit():
                yield Fault(f"Invalid key in 'logit_bias': {key}.", pointer(path), "invalid_value")


def one_token_limit(call: Call) -> Iterator[Fault]:
    """2.5"""
    for _, body in root(call):
        if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
            text = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
            yield Fault(text, "max_tokens", "invalid_parameter_combination")


def stream_options_need_stream(call: Call) -> Iterator[Fault]:
    """1.1"""
    for _, body in root(call):
        if body.get("stream_options") is not None and body.get("stream") is not True:
            yield Fault("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")


def top_logprobs_need_logprobs(call: Call) -> Iterator[Fault]:
    """2.5"""
    for _, body in root(call):
        if body.get("top_logprobs") is not None and body.get("logprobs") is not True:
            yield Fault("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs")


def audio_out_needs_a_voice(call: Call) -> Iterator[Fault]:
    """2.5"""
    for _, body in root(call):
        modalities = body.get("modalities")
        if isinstance(modalities, list) and "audio" in modalities and not body.get("audio"):
            yield Fault("Missing required parameter: 'audio'.", "audio", "missing_required_parameter")


def tool_choice_needs_tools(call: Call) -> Iterator[Fault]:
    """2.3"""
    for _, body in root(call):
        if "tool_choice" in body and not body.get("tools"):
            text = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
            yield Fault(text, "tool_choice")


def parallel_calls_need_tools(call: Call) -> Iterator[Fault]:
    """2.3"""
    for _, body in root(call):
        if "parallel_tool_calls" in body and not body.get("tools"):
            name = "'parallel_tool_calls'"
            text = f"Invalid value for {name}: {name} is only allowed when 'tools' are specified."
            yield Fault(text, "parallel_tool_calls")


def _declared(call: Call) -> list[str]:
    tools = dicts(call.body.get("tools")) if isinstance(call.body, dict) else []
    inner = [tool.get(str(tool.get("type"))) for tool in tools]
    return [part["name"] for part in dicts(inner) if isinstance(part.get("name"), str)]


def tool_names_are_unique(call: Call) -> Iterator[Fault]:
    """2.3"""
    names = _declared(call)
    for name in names:
        if names.count(name) > 1:
            yield Fault(f"Invalid 'tools': the tool name '{name}' is declared twice.", "tools", "invalid_value")


def chosen_tool_is_declared(call: Call) -> Iterator[Fault]:
    """2.3"""
    for _, choice in TOOL_CHOICE(call):
        named = dicts([choice.get("function"), choice.get("custom")])
        allowed = choice.get("allowed_tools")
        for tool in dicts(allowed.get("tools")) if isinstance(allowed, dict) else ():
            named += dicts([tool.get(str(tool.get("type")))])
        for tool in named:
            name = tool.get("name")
            if isinstance(name, str) and name not in _declared(call):
                yield Fault(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")


def parameters_are_an_object_schema(call: Call) -> Iterator[Fault]:
    """6.1.4"""
    for path, function in either(FUNCTIONS, LEGACY_FUNCTIONS)(call):
        parameters = function.get("parameters")
        reason = root_fault(parameters) if isinstance(parameters, dict) and parameters else None
        if reason:
            text = f"Invalid schema for function '{function.get('name')}': {reason}."
            yield Fault(text, pointer((*path, "parameters")), "invalid_function_parameters")


def parameters_are_json_schema(call: Call) -> Iterator[Fault]:
    """6.1.4"""
    for path, function in either(FUNCTIONS, LEGACY_FUNCTIONS)(call):
        parameters = function.get("parameters")
        reason = malformed(parameters) if isinstance(parameters, dict) else None
        if reason:
            text = f"Invalid schema for function '{function.get('name')}': {reason}."
            yield Fault(text, pointer((*path, "parameters")), "invalid_function_parameters")


def formats_are_json_schema(call: Call) -> Iterator[Fault]:
    """6.2"""
    for _, wanted in JSON_SCHEMA(call):
        schema = wanted.get("schema")
        reason = malformed(schema) if isinstance(schema, dict) else None
        if reason:
            text = f"Invalid schema for response_format '{wanted.get('name')}': {reason}."
            yield Fault(text, "response_format", "invalid_json_schema")


def strict_tools_are_strict(call: Call) -> Iterator[Fault]:
    """6.2"""
    for path, function in FUNCTIONS(call):
        reason = strict_fault(function.get("parameters")) if function.get("strict") is True else None
        if reason:
            text = f"Invalid schema for function '{function.get('name')}': {reason}."
            yield Fault(text, pointer((*path, "parameters")), "invalid_function_parameters")


def strict_formats_are_strict(call: Call) -> Iterator[Fault]:
    """6.2"""
    for _, wanted in JSON_SCHEMA(call):
        reason = strict_fault(wanted.get("schema")) if wanted.get("strict") is True else None
        if reason:
            text = f"Invalid schema for response_format '{wanted.get('name')}': {reason}."
            yield Fault(text, "response_format", "invalid_json_schema")


def json_mode_says_json(call: Call) -> Iterator[Fault]:
    """6.2"""
    for _, body in root(call):
        wanted = body.get("response_format")
        if isinstance(wanted, dict) and wanted.get("type") == "json_object":
            if b"json" not in dump(body.get("messages")).lower():
                text = "'messages' must contain the word 'json' in some form, to use 'response_format' json_object."
                yield Fault(text, "messages")


def assistants_say_something(call: Call) -> Iterator[Fault]:
    """2.1: content may be missing or null only beside a call, a refusal or audio"""
    for path, message in ASSISTANTS(call):
        others = ("tool_calls", "function_call", "refusal", "audio")
        if message.get("content") is None and not any(message.get(name) for name in others):
            where_ = pointer((*path, "content"))
            yield Fault(f"Invalid value for '{where_}': expected a string, got null.", where_, "invalid_type")


def content_lists_are_not_empty(call: Call) -> Iterator[Fault]:
    """2.1: an empty string may be, an empty list not"""
    for path, holder in either(MESSAGES, child(root, "prediction"))(call):
        if holder.get("content") == []:
            where_ = pointer((*path, "content"))
            expected = "Expected an array with minimum length 1, but got an empty array instead."
            yield Fault(f"Invalid '{where_}': empty array. {expected}", where_, "empty_array")


def call_ids_are_unique(call: Call) -> Iterator[Fault]:
    """2.3: within one message; a later turn may use an id again"""
    for path, message in ASSISTANTS(call):
        ids = [item.get("id") for item in dicts(message.get("tool_calls"))]
        for found in ids:
            if isinstance(found, str) and ids.count(found) > 1:
                where_ = pointer((*path, "tool_calls"))
                yield Fault(f"Duplicate tool call id '{found}' in '{where_}'.", where_, "invalid_value")


def _turns(call: Call) -> Iterator[tuple[int, dict[str, Any], list[dict[str, Any]]]]:
    """Each message with the tool messages right behind it."""
    messages = dicts(call.body.get("messages")) if isinstance(call.body, dict) else []
    for index, message in enumerate(messages):
        results = []
        for later in messages[index + 1 :]:
            if later.get("role") != "tool":
                break
            results.append(later)
        yield index, message, results


def _ids(message: dict[str, Any]) -> list[str]:
    if message.get("role") != "assistant":
        return []
    return [item["id"] for item in dicts(message.get("tool_calls")) if isinstance(item.get("id"), str)]


def calls_are_answered(call: Call) -> Iterator[Fault]:
    """2.3: a result for each call, in the messages right behind it, in any order"""
    for index, message, results in _turns(call):
        answered = [result.get("tool_call_id") for result in results]
        missing = [found for found in _ids(message) if found not in answered]
        if missing:
            text = (
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(missing)}"
            )
            yield Fault(text, f"messages.[{index}].role")


def results_follow_their_call(call: Call) -> Iterator[Fault]:
    """2.3: no result without a call"""
    open_ids: list[str] = []
    for index, message, _ in _turns(call):
        if message.get("role") != "tool":
            open_ids = _ids(message)
        elif message.get("tool_call_id") not in open_ids:
            text = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            yield Fault(f"Invalid parameter: {text}", f"messages.[{index}].role")


def image_urls_are_usable(call: Call) -> Iterator[Fault]:
    """2.2"""
    for path, image in child(where(PARTS, "type", "image_url"), "image_url")(call):
        url = image.get("url")
        if not isinstance(url, str) or IMAGE_URL.match(url):
            continue
        inline = DATA_URL.match(url)
        if not (inline and is_base64(inline[1])):
            where_ = pointer((*path, "url"))
            yield Fault(f"Invalid '{where_}'. Expected a valid URL or image data URL.", where_, "invalid_image_url")


def audio_is_base64(call: Call) -> Iterator[Fault]:
    """2.2"""
    for path, audio in child(where(PARTS, "type", "input_audio"), "input_audio")(call):
        if isinstance(audio.get("data"), str) and not is_base64(audio["data"]):
            where_ = pointer((*path, "data"))
            yield Fault(f"Invalid '{where_}'. Expected base64-encoded audio data.", where_, "invalid_value")


def files_come_one_way(call: Call) -> Iterator[Fault]:
    """2.2: an id, or data with a name"""
    for path, file in child(where(PARTS, "type", "file"), "file")(call):
        where_ = pointer(path)
        if ("file_id" in file) == ("file_data" in file):
            yield Fault(f"Invalid '{where_}': provide one of 'file_id' and 'file_data'.", where_, "invalid_value")
        elif "file_data" in file and "filename" not in file:
            where_ = f"{where_}.filename"
            yield Fault(f"Missing required parameter: '{where_}'.", where_, "missing_required_parameter")


def file_data_is_base64(call: Call) -> Iterator[Fault]:
    """2.2: raw or as a data URL"""
    for path, file in child(where(PARTS, "type", "file"), "file")(call):
        data = file.get("file_data")
        if isinstance(data, str) and not is_base64(data.rpartition(";base64,")[2]):
            where_ = pointer((*path, "file_data"))
            yield Fault(f"Invalid '{where_}'. Expected base64-encoded data.", where_, "invalid_value")


RULES = (
    only_known_tool_choices,
    only_known_function_calls,
    at_most_four_stops,
    metadata_keys_are_short,
    bias_is_for_token_ids,
    one_token_limit,
    stream_options_need_stream,
    top_logprobs_need_logprobs,
    audio_out_needs_a_voice,
    tool_choice_needs_tools,
    parallel_calls_need_tools,
    tool_names_are_unique,
    chosen_tool_is_declared,
    parameters_are_an_object_schema,
    parameters_are_json_schema,
    formats_are_json_schema,
    strict_tools_are_strict,
    strict_formats_are_strict,
    json_mode_says_json,
    assistants_say_something,
    content_lists_are_not_empty,
    call_ids_are_unique,
    calls_are_answered,
    results_follow_their_call,
    image_urls_are_usable,
    audio_is_base64,
    files_come_one_way,
    file_data_is_base64,
)
