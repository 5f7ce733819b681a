# The image of every endpoint: Python, the libraries, and container.py. The model, and the code that answers from it, come in
# the bundle (bridge_assets/deployment/core/bundle.py), which the container finds, verifies and opens as it starts.
#
#   docker build --tag bridge-assets-serve .
#   docker run --rm --read-only --tmpfs /tmp --publish 8080:8080 \
#       --env BRIDGE_ASSETS_TOKEN="$(openssl rand -hex 32)" \
#       --volume /path/to/bundle.tar.gz:/bundle.tar.gz:ro --env BRIDGE_ASSETS_PACKAGE=/bundle.tar.gz bridge-assets-serve
FROM python:3.11-slim

LABEL org.opencontainers.image.title="bridge-assets-serve" \
      org.opencontainers.image.description="Answers how likely a bridge's condition is to fall, from a bundle of bridge-assets" \
      org.opencontainers.image.licenses="Apache-2.0" \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port="true"

# Wheels only: nothing is compiled, and there is no compiler in the image.
COPY configs/serving_requirements.txt /opt/bridge-assets/
RUN python -m pip install --no-cache-dir --disable-pip-version-check --only-binary=:all: \
        --requirement /opt/bridge-assets/serving_requirements.txt

COPY bridge_assets/serve/container.py /opt/bridge-assets/

# Only /tmp is written to, and only to unpack an archive.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1
# The model is for whoever reaches the port: SageMaker, Azure ML and Vertex AI admit callers before they forward a request, and in
# Kubernetes the NetworkPolicy does. Their requests come from a few addresses, so they are not counted by address either. Where
# nothing does that, run it with BRIDGE_ASSETS_TOKEN.
ENV BRIDGE_ASSETS_HOST=0.0.0.0 BRIDGE_ASSETS_WITHOUT_TOKEN=1 BRIDGE_ASSETS_REQUESTS_PER_SECOND=0
# By number: with runAsNonRoot, Kubernetes must see that the user is not 0.
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, sys, urllib.request; sys.path.append('/opt/bridge-assets'); import container; urllib.request.urlopen(f'http://127.0.0.1:{container.port_of(os.environ)}/health', timeout=4)"]

# SageMaker appends the argument `serve`, which is ignored.
ENTRYPOINT ["python", "/opt/bridge-assets/container.py"]
