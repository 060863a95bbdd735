# Two images of one recipe; docs/containers.md tells how to build and run them.
#   docker build --target light -t digitflow:light .   scores and serves, without TensorFlow
#   docker build --target full -t digitflow:full .     trains too, runs the flows and Prefect's server

FROM python:3.11-slim-bookworm AS plain

# Stages that are thrown away, but for what is copied from them.
FROM plain AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY digitflow digitflow
COPY models/mnist/pretrained models/mnist/pretrained
RUN python -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

# Wheels only: nothing is compiled. The environment has no pip of its own.
FROM plain AS light-environment
COPY constraints.txt requirements-light.txt /source/
RUN python -m venv --without-pip /opt/digitflow \
    && python -m pip --python /opt/digitflow/bin/python install --no-cache-dir --only-binary :all: \
        -r /source/requirements-light.txt -c /source/constraints.txt
COPY --from=wheel /wheel /wheel
RUN python -m pip --python /opt/digitflow/bin/python install --no-cache-dir --no-deps /wheel/*.whl

FROM light-environment AS full-environment
RUN python -m pip --python /opt/digitflow/bin/python install --no-cache-dir --only-binary :all: \
    /wheel/*.whl -c /source/constraints.txt

# What both images have in common.
FROM plain AS base
# The user has a number of our own choice, so that volumes and orchestrators can rely on it.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp digitflow \
    && install -d -o 10001 -g 10001 /digits /data /models /reports
# A home in /tmp, so that nothing else need be writable.
ENV PATH=/opt/digitflow/bin:$PATH \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    DIGITFLOW_DATA=/data \
    DIGITFLOW_PREPARED=/data/prepared \
    DIGITFLOW_MODELS=/models \
    DIGITFLOW_REPORTS=/reports
WORKDIR /digits

FROM base AS light
COPY --from=light-environment /opt/digitflow /opt/digitflow
USER 10001:10001
VOLUME ["/models", "/reports"]
EXPOSE 8000
STOPSIGNAL SIGTERM
# Without a proxy, which the environment may name for the world outside.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8000/readyz', timeout=4)"]
# Refuses to start unless DIGITFLOW_TOKEN is set.
CMD ["digitflow", "serve", "--host", "0.0.0.0"]

FROM base AS full
COPY --from=full-environment /opt/digitflow /opt/digitflow
COPY flows /digitflow/flows
COPY prefect.yaml /digitflow/
USER 10001:10001
VOLUME ["/data", "/models", "/reports"]
STOPSIGNAL SIGTERM
CMD ["python", "/digitflow/flows/deployments.py"]
