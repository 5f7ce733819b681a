"""Years until Poor: the deterioration model, how it is fitted, evaluated and stored."""
