# The operator. BASE needs python3 (3.11 or later) with pip and the venv module, nothing else.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
# The pattern may match nothing: wheels/ exists only where a build without an index was prepared.
COPY LICENSE wheels*/*.whl ./wheels/
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY operator ./operator
# --without-pip: Debian's python3 has no ensurepip, and the image that runs needs no pip.
# A wheel of the project itself in wheels/ goes before the source, so that what was tested is what is shipped.
RUN set -eu; \
    python3 -m venv --without-pip /opt/venv; \
    from=; if ls wheels/*.whl > /dev/null 2>&1; then from="--no-index --find-links=wheels"; fi; \
    what=.; if ls wheels/modelrollout-*.whl > /dev/null 2>&1; then what=modelrollout; fi; \
    python3 -m pip --python /opt/venv/bin/python install --no-cache-dir $from "$what"

FROM ${BASE}
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/venv /opt/venv
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["modelrollout"]
