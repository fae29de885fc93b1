"""May this pass? Only what seeds support stops anybody, and only beyond the base's tolerance."""

from latent_digits.comparison.values import Difference, Gate, MetricRow, Stale

PASS, WORSE, STALE, INCOMPARABLE, MISUSE = range(5)
OTHER_IMAGES = "other images"
JUDGED = ("same", "better", "worse", "unclear")


def gate_of(
    rows: list[MetricRow],
    stale: list[Stale],
    changes: list[Difference],
    *,
    accept_new_test_set: bool = False,
    strict: bool = False,
) -> Gate:
    """How the gate ends and why; `rows` without a tolerance are not looked at.

    With `strict` it fails unless no metric can be worse than its tolerance, by its 95 % interval.
    With `accept_new_test_set` metrics of another test set are no reason to fail.
    """
    exit_, reasons = judged(rows, stale, accept_new_test_set, strict)
    return Gate(exit=exit_, reasons=reasons, changes=changes)


def judged(
    rows: list[MetricRow], stale: list[Stale], accept_new_test_set: bool, strict: bool
) -> tuple[int, list[str]]:
    gated = [row for row in rows if row.tolerance is not None]
    apart = [row for row in gated if row.verdict not in (*JUDGED, "not finite")]
    failing = [row for row in gated if row.beyond or (strict and may_be_worse(row))]
    of_new_set = [row for row in apart if accept_new_test_set and OTHER_IMAGES in row.note]
    if stale:
        stages = ", ".join(one.stage for one in stale)
        return STALE, [
            f"The results of {stages} are not those of the tree: run `make repro` and commit "
            "dvc.lock and reports/ with it."
        ]
    if failing:
        return WORSE, [sentence(row) for row in failing]
    if not gated:
        return INCOMPARABLE, ["Nothing is gated: params.yaml has no section gate."]
    if len(apart) > len(of_new_set):
        reasons = [f"{row.name} cannot be compared: {why(row)}." for row in apart]
        if any(OTHER_IMAGES in row.note for row in apart):
            reasons.append("If the test set is meant to be another: ACCEPT_NEW_TEST_SET=1.")
        return INCOMPARABLE, reasons
    return PASS, [f"{row.name} is of a new test set, as accepted." for row in of_new_set]


def may_be_worse(row: MetricRow) -> bool:
    """Whether the unkind end of the interval is beyond the tolerance, or is not known."""
    if row.verdict == "same" or row.verdict not in JUDGED:
        return False
    if row.low is None or row.high is None or row.tolerance is None:
        return True
    return (row.high if row.better == "lower" else -row.low) > row.tolerance


def why(row: MetricRow) -> str:
    return row.note or {"new": "the base has no such metric", "gone": "it is gone"}.get(
        row.verdict, row.verdict
    )


def sentence(row: MetricRow) -> str:
    """Why a metric does not pass."""
    if row.verdict == "not finite":
        return f"{row.name} is not finite."
    if row.low is None or row.high is None:
        return f"{row.name} may be worse by any amount: {row.note}."
    ends = (row.low, row.high) if row.better == "lower" else (-row.high, -row.low)
    kind = "is" if row.beyond else "may be"
    by = f"{ends[0]:.4g} to {ends[1]:.4g}"
    return f"{row.name} {kind} worse by {by}; {row.tolerance:g} is tolerated."
