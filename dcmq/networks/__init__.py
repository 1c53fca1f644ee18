"""Networks that embed images and texts: encoders by name, the pair of them, their inputs, and CLIP's towers. Untrained,
or with weights that somebody else trained; how they are trained is elsewhere."""
