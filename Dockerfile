# Two stages: what builds is not what runs.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
# Without pip of its own: what runs installs nothing.
RUN python -m venv --without-pip /opt/collector
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY collector ./collector
COPY migrations ./migrations
# pip compiles what it installs: there the root file system may be read-only.
RUN pip --python /opt/collector/bin/python install --no-cache-dir --constraint constraints.txt . \
 && /opt/collector/bin/collector sbom > /opt/collector/sbom.cdx.json

FROM python:3.11-slim-bookworm
# By numbers, so that a cluster can see that it is not root.
RUN groupadd --system --gid 10001 collector \
 && useradd --system --uid 10001 --gid 10001 --no-create-home collector \
 && install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/collector /opt/collector
ENV PATH=/opt/collector/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    COLLECTOR_DATA_DIR=/data \
    CODER_HTTP_ADDRESS=0.0.0.0:3000 \
    CODER_PROMETHEUS_ADDRESS=0.0.0.0:2112
USER 10001:10001
VOLUME /data
EXPOSE 3000 2112
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:3000/readyz', timeout=4)"]
# SIGTERM drains: what was acknowledged is committed before the process ends.
STOPSIGNAL SIGTERM
ENTRYPOINT ["collector"]
CMD ["serve"]
