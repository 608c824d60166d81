# The operator and its relays: Debian's files of the few packages that Python needs, the locked dependencies, and the code.
# No shell, no package manager, nobody's user, and no file that it writes.
#
#     docker build --build-arg VERSION=0.1.0 --build-arg REVISION=$(git rev-parse HEAD) --tag matrixhub:0.1.0 .

# Pin it by digest (debian@sha256:...) where builds must be the same tomorrow.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS tools
ARG UV_VERSION=0.13.9
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3.11 python3-venv \
 && python3.11 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir "uv==${UV_VERSION}"

FROM tools AS debian
# The stand's image (dev/stand/layers.py) reads both lists from here.
ARG BASE_PACKAGES="ca-certificates libc6 libgcc-s1 libssl3"
ARG PYTHON_PACKAGES="libexpat1 libffi8 libpython3.11-minimal libpython3.11-stdlib libstdc++6 python3.11-minimal zlib1g"
WORKDIR /packages
RUN apt-get -o APT::Sandbox::User=root download ${BASE_PACKAGES} ${PYTHON_PACKAGES} \
 && mkdir -p /tree/etc/ssl/certs && mkdir -m 1777 /tree/tmp \
 && for package in *.deb; do dpkg-deb --extract "$package" /tree; done \
 && find /tree/usr/share/ca-certificates -name '*.crt' | sort | xargs cat > /tree/etc/ssl/certs/ca-certificates.crt \
 && printf 'root:x:0:0:root:/:/\nnonroot:x:65532:65532:nonroot:/tmp:/\n' > /tree/etc/passwd \
 && printf 'root:x:0:\nnonroot:x:65532:\n' > /tree/etc/group \
 && python3.11 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /tree -p / /tree/usr

FROM tools AS dependencies
ARG SITE=/tree/usr/local/lib/python3.11/dist-packages
COPY requirements.lock pyproject.toml dev/stand/sbom.py /source/
WORKDIR /source
RUN /opt/uv/bin/uv pip install --no-cache --python-version 3.11.2 --target "${SITE}" \
      --require-hashes --constraint requirements.lock --requirement pyproject.toml \
 && rm -rf "${SITE}/bin" "${SITE}/.lock" \
 && python3.11 sbom.py "${SITE}" /tree/usr/share/doc/matrixhub/sbom.cdx.json \
 && python3.11 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /tree -p / /tree/usr

FROM tools AS code
ARG SITE=/tree/usr/local/lib/python3.11/dist-packages
COPY operator/matrixhub ${SITE}/matrixhub
RUN mkdir -p /tree/usr/local/bin \
 && printf '%s\n' '#!/usr/bin/python3.11 -I' 'import sys' '' 'from matrixhub.cli import main' '' 'sys.exit(main())' \
      > /tree/usr/local/bin/matrixhub \
 && chmod 755 /tree/usr/local/bin/matrixhub \
 && python3.11 -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /tree -p / /tree/usr

FROM scratch
COPY --from=debian /tree /
COPY --from=dependencies /tree /
COPY --from=code /tree /
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Matrix Hub" \
      org.opencontainers.image.description="Kubernetes operator that gives each tenant its isolated, metered share of every backend of a realtime platform" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      io.matrixhub.sbom="/usr/share/doc/matrixhub/sbom.cdx.json"
ENV PATH=/usr/local/bin:/usr/bin PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/usr/local/bin/matrixhub"]
