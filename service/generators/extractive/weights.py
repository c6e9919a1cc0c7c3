"""What a policy knows: how much every feature of a candidate counts, in every context."""

from collections.abc import Mapping

import numpy as np

from service.generators.extractive.policy import CONTEXTS, FEATURES, SHAPE, Floats


def weights_of(named: Mapping[str, float]) -> Floats:
    """Weights (contexts, features) that hold in any context, by the feature's name."""
    weights = np.zeros(SHAPE, np.float32)
    for name, value in named.items():
        weights[CONTEXTS.index("any"), FEATURES.index(name)] = value
    weights.flags.writeable = False
    return weights


# What a person would start with: what is wide, distinct and not said yet; habits come last.
UNTRAINED = weights_of(
    {
        "is theme": 0.9,
        "is mention": 0.4,
        "is lately": 0.4,
        "is preference": 0.8,
        "is taste": 0.4,
        "is aversion": 0.8,
        "is shift": 0.6,
        "is style": 0.1,
        "is rhythm": -0.3,
        "is example": 0.2,
        "is quote": 0.2,
        "coverage": 1.0,
        "distinctiveness": 1.0,
        "support": 0.5,
        "freshness": 0.2,
        "rank": -1.2,
        "gain": 1.0,
        "overlap": -1.0,
    }
)

# Another start for a training: the newest in the user's own words, then keyphrases.
QUOTES_AND_KEYPHRASES = weights_of(
    {
        "is quote": 1.2,
        "is taste": 1.4,
        "is mention": 1.0,
        "is preference": 0.4,
        "is shift": 0.3,
        "is theme": 0.2,
        "is lately": 0.2,
        "is example": 0.2,
        "is style": -0.5,
        "is rhythm": -0.8,
        "another quote": -0.8,
        "another mention": -0.8,
        "rank of quote": -0.5,
        "rank of mention": -0.5,
        "gain": 0.3,
        "overlap": -0.5,
        "tokens": -0.8,
    }
)
STARTS = (UNTRAINED, QUOTES_AND_KEYPHRASES)
