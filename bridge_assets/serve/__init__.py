"""The ASGI app that serves one model version, the same in every container and on a laptop.

Belongs here: who may connect and call it (`border`), parsing requests and formatting responses (`requests`,
`contracts`), the loaded version (`loaded_model`), the app and its process (`app`, `server`), following the local
endpoint (`endpoint_follower`), and starting a container from a bundle (`container`). Does not belong here: scaling
features and computing predictions (`runtime`), building and deploying a bundle (`deployment`).
"""
