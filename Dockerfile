# syntax=docker/dockerfile:1
# The web page and API. Needs no file that it may write to: run it with --read-only (compose.yaml does).
FROM python:3.13-slim-trixie AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY requirements/web.txt ./requirements/
# Every package is the one that was locked: pip compares the hashes.
RUN python -m venv /opt/pneumoscope && /opt/pneumoscope/bin/pip install --require-hashes -r requirements/web.txt
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN /opt/pneumoscope/bin/pip install --no-deps .

FROM python:3.13-slim-trixie
ENV PATH=/opt/pneumoscope/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin pneumoscope
COPY --from=build /opt/pneumoscope /opt/pneumoscope
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["pneumoscope", "serve", "--host", "0.0.0.0", "--port", "8000"]
# Tokens are required: give them as compose.yaml does, or --insecure where the network is trusted.
CMD ["--token-file", "/run/secrets/pneumoscope_tokens"]
