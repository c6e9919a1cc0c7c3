"""Small hand-made histories for the generator's tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from service.domain.interaction import Interaction
from service.generators.population import Population

START = datetime(2024, 3, 4, 9, 17, 31, tzinfo=UTC)


def history(
    texts: Sequence[str],
    *,
    type: str = "message",
    attributes: Sequence[dict[str, Any]] = (),
    every: timedelta = timedelta(hours=13),
) -> list[Interaction]:
    return [
        Interaction(
            event_id=f"e{position:04}",
            occurred_at=START + position * every,
            text=text,
            type=type,
            attributes=attributes[position] if attributes else {},
        )
        for position, text in enumerate(texts)
    ]


def population_of(*histories: Sequence[Interaction]) -> Population:
    population = Population.empty()
    for one in histories:
        population.observe([], one)
    return population


BAKER = history(
    [
        "How do I keep a sourdough starter alive in winter?",
        "My sourdough starter smells of acetone, is the rye flour to blame?",
        "Which rye flour gives an open crumb in a sourdough loaf?",
        "Baked a sourdough loaf with rye flour, the crust was too hard.",
        "Can a Dutch oven replace steam for the crust?",
        "The Dutch oven made the crust of my sourdough loaf crackle.",
        "How long should the sourdough starter rest after feeding?",
        "Is a Dutch oven worth the price for baking bread?",
    ]
)
CYCLIST = history(
    [
        "Which gravel tyres are good in wet weather?",
        "Planning a bikepacking trip along the Danube with gravel tyres.",
        "My derailleur skips after the bikepacking trip.",
        "How do I adjust the derailleur on a gravel bike?",
        "Gravel tyres or slicks for the Danube route?",
        "The derailleur needs a new cable, I think.",
    ]
)
OFFICE = [
    history(
        [
            f"Can you write a short mail about the meeting in room {room}?",
            "Summarise this text in five sentences, please.",
            f"What is the agenda of the meeting in room {room}?",
            "Translate this mail into German, please.",
        ]
    )
    for room in range(6)
]


def film_ratings(ratings: Sequence[tuple[str, float]], title: str) -> list[Interaction]:
    """One rating an hour: (genre, stars) of films that are called `title` and a number."""
    return history(
        [f'Rated "{title} {i}" [{genre}] {stars}/5' for i, (genre, stars) in enumerate(ratings)],
        type="rating",
        attributes=[
            {"item": f"{title} {i}", "genres": [genre], "rating": stars}
            for i, (genre, stars) in enumerate(ratings)
        ],
    )


NOIR_FAN = film_ratings([("Film-Noir", 5.0), ("Comedy", 2.0), ("Film-Noir", 4.5)] * 6, "Night")
COMEDY_FANS = [
    film_ratings([("Comedy", 4.0), ("Comedy", 3.5), ("Romance", 3.0)] * 6, f"Day {fan}")
    for fan in range(6)
]
