"""Previews of texts on the page: changes are marked, and words cannot become markup."""

from __future__ import annotations

from unlearnable.report.passages import as_html


def test_changes_are_marked_line_by_line() -> None:
    assert as_html("class 0: a [dull→fine] film [+!]\nclass 1: a [−bad] book") == (
        "<p>class 0: a <mark>[dull→fine]</mark> film <mark>[+!]</mark></p><p>class 1: a <mark>[−bad]</mark> book</p>"
    )


def test_signs_of_a_text_are_no_marks_and_no_markup() -> None:
    assert as_html("a [ b ] → [c] <b> & [[→]]") == (
        "<p>a [ b ] → [c] &lt;b&gt; &amp; <mark>[[→]]</mark></p>"  # the sign [ became the sign ]
    )
