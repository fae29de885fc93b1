"""May this pass? Only what seeds support stops anybody, and only beyond the base's tolerance."""

from latent_digits.comparison.values import Difference, Gate, MetricRow, Stale

PASS, WORSE, STALE, INCOMPARABLE, MISUSE = range(5)
JUDGED = ("same", "better", "worse", "unclear")


def gate_of(
    rows: list[MetricRow],
    stale: list[Stale],
    changes: list[Difference],
    *,
    old_base: bool = False,
    redraw: bool = False,
    accept_new_test_set: bool = False,
    strict: bool = False,
) -> Gate:
    """How the gate ends and why; `rows` without a tolerance are not looked at.

    With `strict` it fails unless no metric can be worse than its tolerance, by its 95 % interval.
    With `accept_new_test_set` metrics of another test set are no reason to fail. A redraw says
    nothing of the recipe, so only what is not finite fails. Of an `old_base` it is neutral.
    """
    gated = [row for row in rows if row.tolerance is not None]
    apart = [row for row in gated if row.verdict not in (*JUDGED, "not finite")]
    failing = [
        row
        for row in gated
        if row.verdict == "not finite"
        or (not redraw and (row.beyond or (strict and may_be_worse(row))))
    ]
    of_new_set = [row for row in apart if accept_new_test_set and row.apart == ["images"]]
    neutral = False
    if stale:
        stages = ", ".join(one.stage for one in stale)
        end = STALE
        reasons = [
            f"The results of {stages} are not those of the tree: run `make repro` and commit "
            "dvc.lock and reports/ with it."
        ]
    elif failing:
        end = WORSE
        reasons = [sentence(row) for row in failing]
    elif not gated or old_base:
        end, neutral = INCOMPARABLE, True
        reasons = ["The base is from before there was a gate, or values per image."]
    elif len(apart) > len(of_new_set):
        end = INCOMPARABLE
        reasons = [f"{row.name} cannot be compared: {row.note}." for row in apart]
        if any(row.apart == ["images"] for row in apart):
            reasons.append("If the test set is meant to be another: ACCEPT_NEW_TEST_SET=1.")
    else:
        end = PASS
        reasons = [f"{row.name} is of a new test set, as accepted." for row in of_new_set]
    return Gate(exit=end, neutral=neutral, reasons=reasons, changes=changes)


def may_be_worse(row: MetricRow) -> bool:
    """Whether the unkind end of the interval is beyond the tolerance, or is not known."""
    if row.verdict == "same" or row.verdict not in JUDGED:
        return False
    if row.low is None or row.high is None or row.tolerance is None:
        return True
    return (row.high if row.better == "lower" else -row.low) > row.tolerance


def sentence(row: MetricRow) -> str:
    """Why a metric does not pass."""
    if row.verdict == "not finite":
        return f"{row.name} is not finite: {row.note}."
    if row.low is None or row.high is None:
        return f"{row.name} may be worse by any amount: {row.note}."
    ends = (row.low, row.high) if row.better == "lower" else (-row.high, -row.low)
    kind = "is" if row.beyond else "may be"
    by = f"{ends[0]:.3g} to {ends[1]:.3g}".replace("-", "−")
    return f"{row.name} {kind} worse by {by}; {row.tolerance:g} is tolerated."
