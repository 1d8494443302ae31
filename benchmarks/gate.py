"""Error rates of the gate on rows that share their luck: false promotions, power, and the first model.

Writes ``docs/benchmarks/gate.json``, ``docs/benchmarks/gate.md`` and ``docs/images/gate-power.svg``, prints the table.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np

from cineclub.domain.evaluation.plan import TrainingPlan
from cineclub.domain.evaluation.significance import clustered_mean
from dependent_gates import (
    CLUSTERINGS,
    World,
    has_false_promotion,
    is_certain,
    is_promoted_over,
    serves_first,
    walk,
)
from report import ROOT, machine, write_report
from simulated_gates import N_NIGHTS

WORLDS = (
    World("nothing is shared", 0.0, 0.0, 0.5),
    World("films", 1.0, 0.0, 0.3),
    World("films and days", 1.0, 0.5, 0.3),
    World("as on MovieTweetings", 2.0, 0.3, 0.3, people_a_day=120),
    World("films and days, few people", 1.0, 0.5, 0.3, people_a_day=8),
    World("films and days, three days", 1.0, 0.5, 0.3, n_days=3),
)
POWER_WORLD = WORLDS[2]
PEOPLE_A_DAY = (4, 14, 60, 240)
LIFTS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2)
FIRST_DIFFERENCES = (-0.4, -0.2, -0.1, 0.0, 0.1, 0.24, 0.5)
N_GATES, N_MONTHS, N_POWER, N_FIRST = 2000, 120, 60, 60
WANTED_POWER = 0.8
PLAN = TrainingPlan()
FAST_PLAN = replace(PLAN, n_resamples=303)
WIDTH, HEIGHT, MARGIN = 640, 360, 56
COLOURS = {4: "#7a3fa0", 14: "#b35900", 60: "#1f77b4", 240: "#2a7f3f"}


def main() -> None:
    """Simulate on every processor, print, write, draw."""
    with ProcessPoolExecutor() as pool:
        errors = pool.map(_single, WORLDS), pool.map(_month, WORLDS)
        first = pool.map(_first_of, PEOPLE_A_DAY)
        power = pool.map(_power_of, PEOPLE_A_DAY)
        single, month = (
            {world.name: of_world for world, of_world in zip(WORLDS, part, strict=True)} for part in errors
        )
        served, promoted = (dict(zip(PEOPLE_A_DAY, part, strict=True)) for part in (first, power))
    people = {n: _people(n) for n in PEOPLE_A_DAY}
    lines = [*_error_lines(single, month), "", *_power_lines(promoted, people), "", *_first_lines(served, people)]
    (ROOT / "docs" / "images" / "gate-power.svg").write_text(_plot(promoted, people))
    figures = {"machine": machine(), "confidence": PLAN.gate_confidence, "single": single, "month": month}
    figures |= {"lifts": LIFTS, "power": promoted, "people": people}
    figures |= {"first_differences": FIRST_DIFFERENCES, "first": served}
    write_report("gate", figures, "\n".join(lines))


def _single(world: World) -> dict[str, float]:
    """Return the share of false promotions at one gate by clusterings, and standard errors beside that of people."""
    rng = np.random.default_rng(1)
    walks = [walk(rng, world) for _ in range(N_GATES)]
    promoted = [is_certain(each, PLAN) for each in walks]
    spreads_of_walks = [clustered_mean(each.ndcg[0] - each.ndcg[1], each.rows).spreads for each in walks]
    errors = np.sqrt([[spread.variance for spread in spreads.values()] for spreads in spreads_of_walks])
    ratios = np.median(errors[:, 1:] / errors[:, :1], axis=0)
    shares = {name: float(np.mean([each[name] for each in promoted])) for name in CLUSTERINGS}
    return shares | {"films/people": float(ratios[0]), "days/people": float(ratios[1])}


def _month(world: World) -> dict[str, float]:
    """Return the share of months with a false promotion by clusterings."""
    rng = np.random.default_rng(2)
    outcomes = [has_false_promotion(rng, world, FAST_PLAN) for _ in range(N_MONTHS)]
    return {name: float(np.mean([outcome[name] for outcome in outcomes])) for name in outcomes[0]}


def _power_of(people_a_day: int) -> list[float]:
    """Return the share of promotions at each lift."""
    return [_power(people_a_day, lift) for lift in LIFTS]


def _first_of(people_a_day: int) -> list[float]:
    """Return the share in which a challenger serves first at each difference from the floor."""
    return [_first(people_a_day, difference) for difference in FIRST_DIFFERENCES]


def _power(people_a_day: int, lift: float) -> float:
    """Return the share of promotions of a true lift."""
    rng, world = np.random.default_rng(3), replace(POWER_WORLD, people_a_day=people_a_day)
    return float(np.mean([is_promoted_over(walk(rng, world, lift=lift), PLAN, rng) for _ in range(N_POWER)]))


def _first(people_a_day: int, difference: float) -> float:
    """Return the share in which a challenger serves first whose nDCG truly differs from the floor's by a share."""
    rng, world = np.random.default_rng(4), replace(POWER_WORLD, people_a_day=people_a_day)
    lift = difference * float(np.mean([walk(rng, world).ndcg[1].mean() for _ in range(20)]))
    return float(np.mean([serves_first(walk(rng, world, lift=lift), PLAN, rng) for _ in range(N_FIRST)]))


def _people(people_a_day: int) -> int:
    """Return the number of evaluated users in a window."""
    rng, world = np.random.default_rng(5), replace(POWER_WORLD, people_a_day=people_a_day)
    return round(float(np.mean([len(np.unique(walk(rng, world).rows.user_ids)) for _ in range(20)])))


def _error_lines(single: Mapping[str, Mapping[str, float]], month: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the table of false promotions."""
    text = (
        f"The gate's interval has {PLAN.gate_confidence:.2%} confidence: one gate may be wrong in "
        f"{(1 - PLAN.gate_confidence) / 2:.2%}, {N_NIGHTS} nightly gates together in 10 %. All recipes are equal in "
        f"expectation. {N_GATES:,} gates and {N_MONTHS} months in each world; in a month both the challenger and the "
        "best of five trends may replace production. The second and third columns are standard errors by film and by "
        "day beside that by person."
    )
    head = (
        "| what is shared | films / people | days / people | one gate: people alone | widest of three | "
        f"widest, and all at once | {N_NIGHTS} gates: people alone | widest, and all at once |"
    )
    lines = [text, "", head, "|---|" + "---:|" * 7]
    for world in WORLDS:
        at_once, in_a_month = single[world.name], month[world.name]
        shares = [f"{at_once[name]:.2%}" for name in CLUSTERINGS] + [f"{share:.1%}" for share in in_a_month.values()]
        ratios = [f"{at_once['films/people']:.1f}", f"{at_once['days/people']:.1f}"]
        lines.append(f"| {world.name} | {' | '.join(ratios + shares)} |")
    return lines


def _power_lines(power: Mapping[int, Sequence[float]], people: Mapping[int, int]) -> list[str]:
    """Return the table of the power, by true lift and evaluated users."""
    return [
        f"A lift is a true difference of nDCG@10, in the world of {POWER_WORLD.name}, over {POWER_WORLD.n_days} days.",
        "",
        f"| true lift | {' | '.join(f'{people[n]:,} users' for n in power)} |",
        "|---:|" + "---:|" * len(power),
        *(
            f"| {lift:.2f} | {' | '.join(f'{shares[nth]:.0%}' for shares in power.values())} |"
            for nth, lift in enumerate(LIFTS)
        ),
        f"| smallest in 80 % | {' | '.join(_smallest_found(shares) for shares in power.values())} |",
        "",
        "The curves: [gate-power.svg](images/gate-power.svg).",
    ]


def _first_lines(first: Mapping[int, Sequence[float]], people: Mapping[int, int]) -> list[str]:
    """Return the table of first models, by true difference from the floor and evaluated users."""
    text = (
        f"With nothing in production a challenger serves if the {PLAN.first_model_confidence:.0%} interval excludes a "
        f"loss of {PLAN.floor_margin:.0%} of the floor's nDCG and is not below zero. The share in which it serves:"
    )
    return [
        text,
        "",
        f"| true difference from the floor | {' | '.join(f'{people[n]:,} users' for n in first)} |",
        "|---:|" + "---:|" * len(first),
        *(
            f"| {difference:+.0%} | {' | '.join(f'{shares[nth]:.0%}' for shares in first.values())} |"
            for nth, difference in enumerate(FIRST_DIFFERENCES)
        ),
    ]


def _smallest_found(power: Sequence[float]) -> str:
    """Return the smallest lift of the table with a power of 80 %."""
    detectable = [lift for lift, share in zip(LIFTS, power, strict=True) if share >= WANTED_POWER]
    return f"{detectable[0]:.2f}" if detectable else f"above {LIFTS[-1]:.2f}"


def _plot(power: Mapping[int, Sequence[float]], people: Mapping[int, int]) -> str:
    """Return the power curves as an SVG picture."""
    lines = [_axes()]
    for nth, (n_users, shares) in enumerate(power.items()):
        points = " ".join(f"{_x(lift):.1f},{_y(share):.1f}" for lift, share in zip(LIFTS, shares, strict=True))
        colour, place = COLOURS[n_users], f'x="{WIDTH - 150}" y="{HEIGHT - 150 + 22 * nth}"'
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        lines.append(f'<text {place} fill="{colour}">{people[n_users]:,} users</text>')
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
    """Return the horizontal position of a lift."""
    return MARGIN + lift / LIFTS[-1] * (WIDTH - MARGIN - 20)


def _y(share: float) -> float:
    """Return the vertical position of a share."""
    return 36 + (1 - share) * (HEIGHT - 36 - MARGIN)


if __name__ == "__main__":
    main()
