"""Parts that pages share: templates, charts, tables."""
