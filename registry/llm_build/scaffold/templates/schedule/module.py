class Thing:
    """1 at step 0, and falling towards 0 at step `steps`, which is one after the last."""

    def __init__(self, config, context):
        self.power = config.power

    def factor(self, step, steps):
        return (1 - step / steps) ** self.power
