"""Makes generators better by the BUMP reward: policies, their rollouts, and what they leave."""
