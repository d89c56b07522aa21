"""The web page, the web API, and the Gradio page. Needs the ``web`` (or ``ui``) extra."""
