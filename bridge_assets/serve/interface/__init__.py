"""The parts of the Gradio interface: one bridge in a browser, for people.

Belongs here: finding a bridge in the lake (`inventory`), the served model and its calibration (`served`), what a page
shows (`pages`, `cards`), and colours (`theme`). Does not belong here: components and events
(`serve.gradio_interface`), and answers to requests (`serve.bridges`). Not shipped in a bundle
(`deployment.core.code_archive`).
"""
