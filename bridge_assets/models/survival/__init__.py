"""Years until Poor: the deterioration model, its fit, its figures and where its versions are kept."""
