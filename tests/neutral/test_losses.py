"""The ledger of one attempt: what was lost, each once and in order, and notes for the trace."""

from rotator.neutral.losses import LOSSES_LIMIT, NOTES_LIMIT, Ledger, Loss, Note


def test_losses_stand_in_the_order_in_which_they_happened() -> None:
    ledger = Ledger()
    ledger.lose("sampling.seed", ("seed",))
    ledger.lose("image.detail", ("messages", 2, "content", 0), "low")
    ledger.add(Loss("answer.logprobs"))
    ledger.lose("reasoning.history")
    assert ledger.losses == [
        Loss("sampling.seed", "seed", ""),
        Loss("image.detail", "messages[2].content[0]", "low"),
        Loss("answer.logprobs", "", ""),
        Loss("reasoning.history", "", ""),
    ]
    assert ledger.beyond == 0


def test_equal_losses_count_once() -> None:
    """Another code, place or detail is another loss."""
    ledger = Ledger()
    for _ in range(3):
        ledger.lose("a.b", ("x", 0), "why")
        ledger.add(Loss("a.b", "x[0]", "why"))
    assert ledger.losses == [Loss("a.b", "x[0]", "why")]
    ledger.lose("a.c", ("x", 0), "why")
    ledger.lose("a.b", ("x", 1), "why")
    ledger.lose("a.b", ("x", 0))
    assert len(ledger.losses) == 4 and ledger.beyond == 0


def test_losses_have_a_limit() -> None:
    ledger = Ledger()
    for place in range(LOSSES_LIMIT):
        ledger.lose("a.b", ("x", place))
    assert len(ledger.losses) == LOSSES_LIMIT == 200 and ledger.beyond == 0
    ledger.lose("a.b", ("x", 3))
    assert ledger.beyond == 0
    ledger.lose("a.b", ("y", 0))
    ledger.lose("a.b", ("y", 1))
    assert ledger.beyond == 2 and ledger.losses[-1] == Loss("a.b", "x[199]")


def test_members_that_only_one_protocol_knows() -> None:
    ledger = Ledger()
    ledger.lose_rest({"b": 1, "a": None, "quiet_one": 2}, ("tools", 0), quiet=("quiet_one", "absent"))
    ledger.lose_rest({"b": 1}, ())
    ledger.lose_rest({}, ("tools", 1))
    assert ledger.losses == [
        Loss("field.foreign", "tools[0].b"), Loss("field.foreign", "tools[0].a"), Loss("field.foreign", "b"),
    ]


def test_notes_are_kept_where_somebody_reads_them() -> None:
    notes: list[Note] = []
    ledger = Ledger(notes)
    ledger.note("chat.build", "merged", ("messages", 1), ("messages", 0))
    ledger.note("chat.build", "merged", ("messages", 1), ("messages", 0))
    ledger.note("chat.build", "added")
    assert ledger.notes is notes
    merged = Note("chat.build", "merged", "messages[1]", "messages[0]")
    assert notes == [merged, merged, Note("chat.build", "added", "", "")]
    unread = Ledger()
    unread.note("chat.build", "merged")
    assert unread.notes is None and ledger.losses == unread.losses == []


def test_notes_have_a_limit() -> None:
    ledger = Ledger([])
    for place in range(NOTES_LIMIT + 5):
        ledger.note("a", "b", (place,))
    assert ledger.notes is not None and NOTES_LIMIT == 1_000
    assert len(ledger.notes) == NOTES_LIMIT and ledger.notes[-1] == Note("a", "b", "[999]", "")
