"""What happens to a small alpha if each arm is trusted with its own variance."""

from collections.abc import Mapping
from math import log

import numpy as np
from tests.simulations import _designs as designs
from tests.simulations._book import plan_of
from tests.simulations._growing import rows_of
from tests.simulations._peers import Totals, totals_of
from tests.simulations._race import first_roll_back
from tests.simulations._traffic import looks_of, new_users, split

from flipback.stats import normal_mixture


ALPHA = 0.05 / 40
RARE = 0.1
MOST = 600
BURN_IN = 30
PLAN = plan_of(designs.HELPFUL, alpha=ALPHA)


def run(seed: int) -> Mapping[str, bool]:
    """Return whether identical models were rolled back, with either variance."""
    rng = np.random.default_rng(seed)
    served = split(rng, 0.01, MOST)
    flips = (rng.random(len(served)) < RARE).astype(np.float64)
    requests = new_users(rng, served, {"helpful": flips})
    looks = looks_of(requests)
    rows = rows_of(PLAN, requests, looks)
    with_it = first_roll_back(PLAN, rows, looks) is not None
    return {"without": _plugged_in(totals_of(PLAN, requests, looks)), "with": with_it}


def _plugged_in(totals: Totals) -> bool:
    """Return whether the same mixture crosses on V = s2_T / n_T + s2_C / n_C."""
    for n, difference, error, control in zip(
        totals.candidate_n[:, 0],
        totals.difference[:, 0],
        totals.squared_error[:, 0],
        totals.control[:, 0],
        strict=True,
    ):
        if n < BURN_IN or not error > 0:
            continue
        log_e = normal_mixture(difference / error, 1 / error, mei=0.1 * control)
        if log_e >= log(1 / ALPHA):
            return True
    return False
