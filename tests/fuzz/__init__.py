"""Every decoder that a stranger can reach, by two engines: Hypothesis in each run, atheris by ``make fuzz``."""
