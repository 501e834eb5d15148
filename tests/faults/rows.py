"""Every row of the fault table (faults.md 1) and where it is tested, through the whole server unless it says otherwise.

``LATER`` names the work that a row waits for. A part of a row that waits is told in the row's own comment.
"""

from __future__ import annotations

from typing import Final

_CONNECTION: Final = "tests/faults/test_connection.py"
_TLS: Final = "tests/faults/test_tls.py"
_ANSWERS: Final = "tests/faults/test_answers.py"
_LIMITS: Final = "tests/faults/test_limits.py"
_BOMBS: Final = "tests/faults/test_bombs.py"
_FIDELITY: Final = "tests/faults/test_fidelity.py"
_TOXIC: Final = "tests/faults/test_toxic.py"
_STREAMS: Final = "tests/faults/test_streams.py"
_EXCHANGE: Final = "tests/server/test_exchange.py"
_ANSWER: Final = "tests/exchange/test_answer.py"
_TRIP: Final = "tests/exchange/test_trip.py"
_SDKS: Final = "tests/server/test_sdks.py"
_PROCESS: Final = "tests/server/test_process.py"
_PRESSURE: Final = "tests/server/test_pressure.py"
_CONNECTOR: Final = "tests/wire/test_connector.py"
_WRITER: Final = "tests/trace/test_writer.py"
_SERVE: Final = "tests/cli/test_serve.py"

#: Row -> file -> tests.
ROWS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "no connection": {
        _CONNECTION: (
            "test_no_connection",
            "test_what_breaks_is_tried_again_and_is_then_a_bad_gateway",
            "test_what_breaks_is_not_noticed_where_another_key_is_left",
            "test_a_vendor_that_recovers_is_used_again_at_once",
        ),
    },
    "TLS": {
        _TLS: (
            "test_a_certificate_that_is_not_good_ends_the_attempt",
            "test_a_certificate_of_a_known_authority_is_good",
            "test_the_same_certificate_is_not_good_without_its_authority",
            "test_a_handshake_that_fails_is_a_bad_gateway",
        ),
    },
    "silent": {
        _CONNECTION: (
            "test_silence_ends_in_a_timeout",
            "test_silence_is_not_waited_out_twice_where_another_key_is_left",
        ),
        _TRIP: ("test_the_deadline_ends_a_wait_for_the_vendor", "test_pings_do_not_keep_a_request_alive_for_ever"),
    },
    "broken HTTP": {
        _CONNECTION: (
            "test_what_breaks_is_tried_again_and_is_then_a_bad_gateway",
            "test_what_breaks_is_not_noticed_where_another_key_is_left",
            "test_the_request_goes_out_whole_each_time",
            "test_a_bad_chunk_behind_the_beginning_is_noticed_at_once",
        ),
    },
    "stale keep-alive": {_CONNECTOR: ("test_through_the_proxy_nobody_sees_it", "test_it_is_tried_once")},
    # State paths come with durable state.
    "disk full": {_WRITER: ("test_a_disk_that_fails_is_told_once_a_minute",)},
    "legal oddities": {_ANSWERS: ("test_what_is_odd_but_legal_works",)},
    "redirect": {_CONNECTION: ("test_no_redirect_is_followed",)},
    # 402 is about the key (design.md 2.4) and stands with "credential bad".
    "4xx final": {
        _ANSWERS: ("test_what_the_vendor_says_of_the_request_is_final", "test_an_error_that_fits_is_told_in_full"),
    },
    # Kept over restarts: later, with durable state.
    "credential bad": {
        _LIMITS: (
            "test_a_rejected_key_is_marked_and_the_next_serves",
            "test_only_the_key_that_is_bad_is_marked",
            "test_a_rejection_counts_though_its_body_breaks_off",
            "test_a_key_is_quoted_neither_whole_nor_in_part",
        ),
    },
    "rate limit": {
        _LIMITS: (
            "test_a_limit_lasts_as_long_as_the_headers_say",
            "test_a_limit_lasts_as_long_as_the_body_says",
            "test_limits_without_a_time_double",
            "test_a_short_limit_is_waited_for_once_and_never_beyond_the_deadline",
            "test_a_limit_counts_though_its_body_breaks_off",
        ),
        _TRIP: ("test_after_the_wait_each_key_is_asked_at_most_once_more",),
    },
    "server error": {
        _ANSWERS: (
            "test_a_failure_of_the_vendors_is_tried_again_and_then_told",
            "test_the_budgets_bound_what_breaks_for_ever",
        ),
    },
    "hostile error body": {
        _ANSWERS: ("test_a_huge_error_is_cut_before_anything_reads_it",),
        _BOMBS: ("test_an_error_that_is_too_deep_is_told_without_it",),
    },
    "disguised error": {_ANSWERS: ("test_an_error_in_disguise_is_the_error_that_it_is",)},
    "bad bodies": {
        _ANSWERS: (
            "test_a_body_that_cannot_be_read_is_a_bad_gateway",
            "test_a_body_that_answers_nothing_is_a_bad_gateway",
            "test_json_that_is_no_stream_is_a_bad_gateway",
            "test_an_answer_that_says_nothing_is_one",
        ),
    },
    "bombs": {
        _BOMBS: (
            "test_a_bomb_is_cut_at_the_limit",
            "test_a_flood_is_cut_where_it_is_one_answer",
            "test_a_flood_of_events_passes_and_is_not_kept",
            "test_a_bomb_in_an_open_stream_ends_it",
            "test_calls_that_wait_for_another_are_cut_at_a_limit",
            "test_json_that_is_too_deep_is_no_answer",
            "test_an_answer_as_deep_as_can_be_kept_passes",
        ),
    },
    "fidelity": {
        _FIDELITY: (
            "test_a_stream_comes_through_as_it_is",
            "test_a_whole_answer_comes_through_as_it_is",
            "test_a_stream_is_understood_however_it_is_written",
            "test_a_whole_answer_is_understood_however_it_is_written",
            "test_a_huge_line_comes_through",
            "test_many_events_come_through",
        ),
        _ANSWER: ("test_a_stream_comes_back_byte_for_byte_however_it_is_cut",),
    },
    "toxic stream data": {
        _TOXIC: (
            "test_an_event_that_is_no_json_fails_the_attempt_before_the_first_output",
            "test_an_event_that_is_no_json_ends_a_stream_in_the_clients_own_error",
            "test_the_raw_lane_passes_output_that_only_a_parser_finds_odd",
            "test_lines_that_say_nothing_harm_nobody",
            "test_frames_without_data_raise_no_decoders_error",
            "test_bad_utf8_is_mended",
            "test_bad_utf8_in_a_whole_answer_is_no_json",
        ),
    },
    "dies mid-stream": {
        _STREAMS: (
            "test_a_stream_that_dies_is_told_so_and_never_tried_again",
            "test_pings_alone_do_not_keep_a_stream_alive",
        ),
        _TRIP: ("test_a_stream_that_ends_before_anything_visible_rotates",),
        _SDKS: ("test_a_stream_that_breaks_is_raised",),
    },
    "endings": {
        _STREAMS: (
            "test_a_stream_ends_once",
            "test_usage_that_is_not_told_is_estimated",
            "test_a_terminal_without_a_finish_reason_is_an_end",
        ),
    },
    # "failed" is an event of the Responses API: later, with that protocol.
    "provider error mid-stream": {
        _STREAMS: ("test_an_error_of_the_vendors_in_the_middle_is_told_redacted",),
        _SDKS: ("test_an_error_in_the_middle_is_raised_behind_what_was_said",),
    },
    "client leaves": {
        _EXCHANGE: (
            "test_a_client_that_leaves_before_the_first_byte",
            "test_a_client_that_leaves_while_nothing_visible_came",
            "test_a_client_that_leaves_in_the_middle_of_a_stream",
            "test_a_client_that_leaves_while_it_reads_nothing",
            "test_a_client_that_leaves_while_a_short_limit_is_waited_for",
            "test_a_client_that_leaves_in_its_own_body",
        ),
    },
    "client slow": {
        _PRESSURE: ("test_a_client_that_stops_reading_is_dropped", "test_an_upstream_waits_for_a_slow_client"),
    },
    # A thousand streams at once: in benchmarks.
    "overload": {_PRESSURE: ("test_requests_beyond_the_limit_are_refused_at_once",)},
    "SIGTERM": {
        _PROCESS: (
            "test_a_graceful_end_lets_streams_finish",
            "test_what_does_not_finish_in_time_is_told",
            "test_nothing_listens_afterwards",
        ),
        _SERVE: ("test_a_termination_lets_streams_finish",),
    },
    # The keys in the env file; files of tokens: later, with OAuth.
    "credentials change": {
        _SERVE: ("test_a_changed_file_is_noticed", "test_a_hangup_reloads"),
        "tests/credentials/test_pool.py": ("test_a_removed_key_is_not_used_again_and_its_open_lease_still_settles",),
    },
    "early answer": {_CONNECTION: ("test_an_answer_before_the_end_of_a_large_request_is_relayed",)},
    "memory": {_BOMBS: ("test_memory_comes_back_after_every_kind_of_fault",)},
}

LATER: Final[dict[str, str]] = {
    "kill -9": "with durable state",
    "corrupt state": "with durable state",
    "clock": "with durable state",
}
