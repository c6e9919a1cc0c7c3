"""What the population and the extractive generator both read in interactions: words, traits."""
