"""nginx as the upstream (HTTP and HTTPS), and as a plain reverse proxy: the ceiling that a proxy in C sets."""

import os
import shutil
from pathlib import Path

from benchmarks.process import Child, NotStarted

ITEM = (
    '{"id": "item-1", "object": "completion", "model": "example", "choices": [{"index": 0, "text": "'
    + "The quick brown fox jumps over the lazy dog and looks back once. " * 13
    + '"}], "usage": {"prompt_tokens": 9, "completion_tokens": 160}}'
)  # 1 KiB of JSON, as an API answers

COMMON = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
events {{ worker_connections 16384; multi_accept on; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_max_body_size 0;
  client_body_buffer_size 256k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  default_type application/json;
  tcp_nodelay on;
{inside}
}}
"""

UPSTREAM = """
  log_format probe escape=json '{{"authorization":"$http_authorization","uri":"$request_uri","body":"$request_body"}}';
  map $http_authorization $generation {{ default ""; "~generation-(?<found>[0-9]+)-" $found; }}
  upstream itself {{ server unix:{folder}/answer.sock; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen unix:{folder}/answer.sock;
    location / {{ return 200 '{item}'; }}
  }}
  server {{
    listen 127.0.0.1:{http} backlog=4096;
    listen 127.0.0.1:{https} ssl backlog=4096;
    server_name localhost;
    ssl_certificate {leaf};
    ssl_certificate_key {key};
    ssl_session_cache shared:sessions:10m;
    location = /item {{ return 200 '{item}'; }}
    location = /echo-authorization {{ return 200 '$http_authorization'; }}
    # Which version of a value arrived, without the value: what scrubbing leaves alone.
    location = /generation {{ return 200 '$generation'; }}
    # A body is read whole before the answer: `return` alone would answer at once and discard it.
    location = /post {{ {forward} }}
    location = /probe {{ access_log {folder}/probe.log probe; {forward} }}
  }}
"""

FORWARD = (
    "proxy_pass http://itself/item; proxy_http_version 1.1; proxy_method GET;"
    ' proxy_pass_request_body off; proxy_set_header Connection ""; proxy_set_header Content-Length "";'
)

REVERSE = """
  proxy_http_version 1.1;
  proxy_ssl_trusted_certificate {ca};
  proxy_ssl_verify on;
  proxy_ssl_name localhost;
  proxy_ssl_server_name on;
  proxy_ssl_session_reuse on;
  proxy_buffering off;
  proxy_buffer_size 64k;
  proxy_buffers 16 64k;
  proxy_busy_buffers_size 128k;
  proxy_request_buffering off;
  map $http_upgrade $connection_header {{ default "upgrade"; "" ""; }}
{upstreams}
{servers}
"""

REVERSE_UPSTREAM = "  upstream {name} {{ server 127.0.0.1:{port}; keepalive 128; keepalive_requests 1000000000; }}"

REVERSE_SERVER = """
  server {{
    listen 127.0.0.1:{listen} {ssl} backlog=4096;
    ssl_certificate {leaf};
    ssl_certificate_key {key};
    location / {{
      proxy_pass {scheme}://{name};
      proxy_set_header Host localhost:{port};
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_header;
    }}
  }}
"""


def _start(folder: Path, inside: str, ports: list[int]) -> Child:
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(binary).exists():
        raise NotStarted("no nginx: apt-get install nginx-light")
    user = "user root;" if os.geteuid() == 0 else ""  # else the worker cannot enter the temporary folder
    config = folder / "nginx.conf"
    config.write_text(COMMON.format(user=user, folder=folder, inside=inside))
    argv = [binary, "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")]
    return Child(argv, folder / "nginx.log").listening(*ports)


def start_upstream(folder: Path, leaf: Path, key: Path, http: int, https: int) -> Child:
    """Answers GET /item, POST /post, and logs what reaches /probe to probe.log."""
    folder.mkdir()
    inside = UPSTREAM.format(folder=folder, leaf=leaf, key=key, http=http, https=https, item=ITEM, forward=FORWARD)
    return _start(folder, inside, [http, https])


def start_reverse(folder: Path, leaf: Path, key: Path, ca: Path, routes: list[tuple[int, bool, int, bool]]) -> Child:
    """A reverse proxy: each route is (listen, TLS there, upstream's port, TLS to the upstream)."""
    folder.mkdir()
    upstreams = [REVERSE_UPSTREAM.format(name=f"up{to}", port=to) for to in {route[2] for route in routes}]
    servers = [
        REVERSE_SERVER.format(
            listen=listen, ssl="ssl" if tls else "", leaf=leaf, key=key, name=f"up{to}", port=to,
            scheme="https" if to_tls else "http",
        )
        for listen, tls, to, to_tls in routes
    ]  # fmt: skip
    inside = REVERSE.format(ca=ca, upstreams="\n".join(upstreams), servers="\n".join(servers))
    return _start(folder, inside, [route[0] for route in routes])


def probe_log(folder: Path) -> Path:
    """Where the upstream writes what reached /probe, one JSON object per line."""
    return folder / "probe.log"
