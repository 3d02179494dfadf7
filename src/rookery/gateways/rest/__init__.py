"""The native API, `/v1`: JSON over HTTP.

`app.create_app` builds the ASGI application. Each call is an `Operation` (calls.py): the same table gives the routes, the strict
reading of what clients send, and the OpenAPI document, so the three cannot differ. Shapes of answers are in shapes, made
from what services answer by present.py; every error leaves as a problem document (problems.py).
"""
