"""The Flask application: pages, API, guards."""
