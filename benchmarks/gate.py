"""How often the gate is wrong: false promotions, one gate and a month of them, and the power to see a true lift.

Writes ``docs/benchmarks/gate.json``, ``docs/benchmarks/gate.md`` and ``docs/images/gate-power.svg``, prints the table.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cineclub.domain.training_plan import TrainingPlan
from report import ROOT, machine, write_report
from simulated_gates import N_NIGHTS, is_any_of_a_month_promoted, is_promoted, people

N_USERS = (50, 200, 1000)
LIFTS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2)
N_PAIRS, N_MONTHS, N_POWER = 2000, {50: 1000, 200: 1000, 1000: 300}, 400
WANTED_POWER = 0.8
PLAN = TrainingPlan()
WIDTH, HEIGHT, MARGIN = 640, 360, 56
COLOURS = {50: "#b35900", 200: "#1f77b4", 1000: "#2a7f3f"}


def main() -> None:
    """Simulate, print, write, draw."""
    single = {n: _share(n, lambda rng, n=n: is_promoted(people(rng, n), PLAN, rng), N_PAIRS) for n in N_USERS}
    month = {n: _share(n, lambda rng, n=n: is_any_of_a_month_promoted(rng, n, PLAN), N_MONTHS[n]) for n in N_USERS}
    power = {n: [_power(n, lift) for lift in LIFTS] for n in N_USERS}
    head = f"| judged users | false, one gate | false, {N_NIGHTS} nightly gates | smallest lift found in 80 % |"
    rows = [f"| {n} | {single[n]:.2%} | {month[n]:.1%} | {_smallest_found(power[n])} |" for n in N_USERS]
    curve = [
        f"| {lift:.2f} | " + " | ".join(f"{power[n][nth]:.0%}" for n in N_USERS) + " |"
        for nth, lift in enumerate(LIFTS)
    ]
    names = " | ".join(f"{n} users" for n in N_USERS)
    table = "\n".join(
        [
            f"The gate's interval has {PLAN.gate_confidence:.2%} confidence; a lift is a true difference of nDCG@10.",
            "",
            head,
            "|---:|---:|---:|---:|",
            *rows,
            "",
            f"| true lift | {names} |",
            "|---:|---:|---:|---:|",
            *curve,
            "",
            "The curves: [gate-power.svg](images/gate-power.svg).",
        ]
    )
    (ROOT / "docs" / "images" / "gate-power.svg").write_text(_plot(power))
    figures = {"machine": machine(), "confidence": PLAN.gate_confidence, "single": single, "month": month}
    write_report("gate", {**figures, "lifts": LIFTS, "power": power}, table)


def _share(seed: int, happens: Callable[[np.random.Generator], bool], n_tries: int) -> float:
    """Return how often something happens."""
    rng = np.random.default_rng(seed)
    return float(np.mean([happens(rng) for _ in range(n_tries)]))


def _power(n_users: int, lift: float) -> float:
    """Return how often a true lift is promoted."""
    return _share(n_users, lambda rng: is_promoted(people(rng, n_users, lift), PLAN, rng), N_POWER)


def _smallest_found(power: Sequence[float]) -> str:
    """Return the smallest lift of the table that is promoted in four of five gates."""
    found = [lift for lift, share in zip(LIFTS, power, strict=True) if share >= WANTED_POWER]
    return f"{found[0]:.2f}" if found else f"above {LIFTS[-1]:.2f}"


def _plot(power: Mapping[int, Sequence[float]]) -> str:
    """Return the power curves as an SVG picture."""
    lines = [_axes()]
    for nth, (n_users, shares) in enumerate(power.items()):
        points = " ".join(f"{_x(lift):.1f},{_y(share):.1f}" for lift, share in zip(LIFTS, shares, strict=True))
        colour = COLOURS[n_users]
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        lines.append(f'<text x="{WIDTH - 150}" y="{HEIGHT - 130 + 22 * nth}" fill="{colour}">{n_users} users</text>')
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">\n' + "\n".join(
        ['<rect width="100%" height="100%" fill="white"/>', *lines, "</svg>\n"]
    )


def _axes() -> str:
    """Return grid, numbers and names of the axes."""
    parts = []
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        y = _y(share)
        parts.append(f'<line x1="{MARGIN}" x2="{WIDTH - 20}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{MARGIN - 8}" y="{y + 4}" text-anchor="end">{share:.0%}</text>')
    parts += [
        f'<text x="{_x(lift)}" y="{HEIGHT - 34}" text-anchor="middle">{lift:.2f}</text>'
        for lift in (0, 0.05, 0.1, 0.15, 0.2)
    ]
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 10}" text-anchor="middle">true difference in nDCG@10</text>')
    parts.append(f'<text x="{MARGIN}" y="20">chance that the gate promotes</text>')
    return "\n".join(parts)


def _x(lift: float) -> float:
    """Return where a lift stands."""
    return MARGIN + lift / LIFTS[-1] * (WIDTH - MARGIN - 20)


def _y(share: float) -> float:
    """Return where a share stands."""
    return 36 + (1 - share) * (HEIGHT - 36 - MARGIN)


if __name__ == "__main__":
    main()
