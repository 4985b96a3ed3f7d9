"""The secrets of a session, in any order of handing out and using them."""

from __future__ import annotations

import typing as t

from hypothesis import given
from hypothesis import strategies as st

from flaskware_session._records.proofs import admits
from flaskware_session._records.proofs import offered
from flaskware_session._records.proofs import seen
from flaskware_session._records.proofs import settled

GRACE = 10_000
HOUR = 3_600_000
FIRST = "f" * 43

# An offer of the next secret, or a use of a secret by its number: 0 is the first, and
# a number that was not offered yet stands for the last.
Step: t.TypeAlias = int | None
BURST = st.lists(st.one_of(st.none(), st.integers(0, 15)), max_size=40).filter(
    lambda steps: steps.count(None) <= 15
)


class Burst:
    """Parallel requests of one browser, at one time.

    :param text: The stored hashes.
    :param known: The secrets that the browser may have before.
    """

    def __init__(self, text: str, known: list[str], letter: str, now: int) -> None:
        self.text, self.known = text, [*known]
        self.offered = dict.fromkeys(known, -1)
        self.used: dict[str, int] = {}
        self._letter, self._now = letter, now

    def run(self, steps: list[Step]) -> None:
        for moment, step in enumerate(steps):
            if step is None:
                self.known.append(f"{self._letter}{len(self.known):042}")
                self.offered[self.known[-1]] = moment
                self.text = offered(self.text, self.known[-1])
            else:
                secret = self.known[min(step, len(self.known) - 1)]
                self.used.setdefault(secret, moment)
                self.text = seen(self.text, secret, now=self._now, grace=GRACE)

    def may_be_kept(self) -> set[str]:
        """Return the secrets of which the browser may have got the last answer.

        An answer arrives after it was made and before its secret is first used.
        """
        # What the browser had before, it had got by then.
        latest = {secret: -1 for secret in self.known if self.offered[secret] < 0}
        latest = self.used | latest
        return {
            secret
            for secret in self.known
            if not any(
                self.offered[other] > latest.get(secret, 10**9) for other in self.used
            )
        }


@given(BURST)
def test_a_secret_that_a_browser_may_have_kept_opens_the_session(
    steps: list[Step],
) -> None:
    one = Burst(FIRST, [FIRST], "a", 0)
    one.run(steps)
    assert all(admits(one.text, secret, GRACE - 1) for secret in one.known)
    for secret in one.may_be_kept():
        assert admits(one.text, secret, HOUR)


@given(BURST, BURST)
def test_what_was_replaced_has_ended_after_the_next_renewal(
    before: list[Step], after: list[Step]
) -> None:
    one = Burst(FIRST, [FIRST], "a", 0)
    one.run(before)
    for kept in one.may_be_kept():
        text = seen(one.text, kept, now=HOUR, grace=GRACE)
        text = settled(text, now=HOUR, grace=GRACE)
        assert all(admits(text, each, HOUR + GRACE - 1) for each in one.may_be_kept())
        assert admits(text, kept, HOUR + GRACE)
        others = [each for each in one.known if each != kept]
        assert not any(admits(text, each, HOUR + GRACE) for each in others)
        two = Burst(text, [kept], "b", HOUR)
        two.run(after)
        assert all(admits(two.text, each, 2 * HOUR) for each in two.may_be_kept())
        assert len(two.text) < 4096


@given(BURST)
def test_a_secret_that_was_not_handed_out_opens_nothing(steps: list[Step]) -> None:
    one = Burst(FIRST, [FIRST], "a", 0)
    one.run(steps)
    assert not admits(one.text, "x" * 43, 0)
    assert seen(one.text, "x" * 43, now=0, grace=GRACE) == one.text
