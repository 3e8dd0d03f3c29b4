# Two stages: what builds stays in the first. The last holds CPython, Egret's environment and nothing to install with.
#   docker build -t egret .
#   docker run --rm -v egret:/data egret init --data /data          (prints the owner key, once)
#   docker run -v egret:/data -p 8700:8700 -p 8080:8080 -p 8081:8081 egret

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements/build.lock requirements/runtime.lock requirements/
COPY tools/image-environment tools/
RUN tools/image-environment dependencies /opt/egret
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY proxy proxy
COPY store store
COPY egret egret
COPY config config
RUN tools/image-environment egret /opt/egret

FROM python:3.13-slim-bookworm
RUN rm -rf /usr/local/lib/python3.13/site-packages/* /usr/local/lib/python3.13/ensurepip /usr/local/bin/pip* \
    && useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin egret \
    && for folder in "" /keys /keys/public /keys/shared /keys/control /keys/data; do \
           install -d -o egret -g egret -m 0700 "/data$folder"; done
COPY --from=build /opt/egret /opt/egret
# All interfaces of the container; which of the ports leave it is for `docker run -p` to say.
ENV PATH=/opt/egret/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    EGRET_ADMIN__LISTEN=0.0.0.0:8700 \
    EGRET_PROXY__LISTEN=0.0.0.0:8080 \
    EGRET_GATEWAY__LISTEN=0.0.0.0:8081
# By number: a name tells `runAsNonRoot` of Kubernetes nothing.
USER 10001
VOLUME /data
EXPOSE 8700 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD \
    ["python", "-I", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8700/readyz', timeout=2)"]
ENTRYPOINT ["egret"]
CMD ["serve", "--data", "/data"]
