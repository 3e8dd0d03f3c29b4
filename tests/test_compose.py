"""config/compose.yaml: each container has its plane's keys and no more; its front is a configuration that nginx takes.

Its commands, roles, grants and mounts run as processes in `benchmarks.fleet`.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from certificates import Authority

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "config/compose.yaml").read_text())
SERVICES = COMPOSE["services"]
KNOWN = {
    "image", "build", "read_only", "cap_drop", "security_opt", "tmpfs", "restart", "stop_grace_period", "healthcheck",
    "command", "environment", "secrets", "networks", "depends_on", "volumes", "ports", "profiles",
}  # fmt: skip


def mounts(service):
    return {volume.split(":")[0]: volume.split(":")[1:] for volume in SERVICES[service].get("volumes", ())}


def test_it_has_the_parts():
    """PostgreSQL, two stores, two proxies, a gateway and a front; every word in it is one of compose's."""
    assert {"postgres", "store-1", "store-2", "proxy-1", "proxy-2", "gateway", "front"} <= set(SERVICES)
    for service in SERVICES.values():
        assert set(service) <= KNOWN
        assert {volume.split(":")[0] for volume in service.get("volumes", ()) if volume[0] != "."} <= set(
            COMPOSE["volumes"]
        )
        named = {each if isinstance(each, str) else each["source"] for each in service.get("secrets", ())}
        assert named <= set(COMPOSE["secrets"])
        assert set(service.get("networks", ())) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", ())) <= set(SERVICES)


@pytest.mark.parametrize("service", ["store-1", "store-2", "proxy-1", "proxy-2", "gateway"])
def test_a_container_has_the_keys_of_its_plane_alone(service):
    """A store has no opening key and a proxy no writer's key; none can change keys; volumes of their own differ."""
    found = mounts(service)
    other = "keys-data" if service.startswith("store") else "keys-control"
    assert other not in found and {"keys-public", "keys-shared"} <= set(found)
    assert all(options[-1] == "ro" for name, options in found.items() if name.startswith("keys-"))
    assert found[service] == ["/data"]
    role = "egret_store" if service.startswith("store") else "egret_proxy"
    assert f"//{role}@postgres:5432/" in SERVICES[service]["environment"]["EGRET_STORE__URL"]
    assert not any("password" in str(value).lower() for value in SERVICES[service]["environment"].values())
    assert SERVICES[service]["read_only"] and SERVICES[service]["cap_drop"] == ["ALL"]


def test_only_proxies_and_front_leave_the_inside():
    """PostgreSQL and the stores are on a network without a way out."""
    assert COMPOSE["networks"]["inside"]["internal"]
    outside = {name for name, service in SERVICES.items() if "outside" in service.get("networks", ())}
    assert outside == {"proxy-1", "proxy-2", "gateway", "front"}
    assert {name for name, service in SERVICES.items() if service.get("ports")} == {"proxy-1", "proxy-2", "front"}


@pytest.mark.needs("nginx")
def test_nginx_takes_the_front(tmp_path):
    """The file as it stands, with loopback for the containers' names and a certificate of ours."""
    pem = str(Authority(tmp_path).leaf())
    text = (ROOT / "config/compose-front.conf").read_text()
    for name in ("store-1", "store-2", "gateway"):
        text = text.replace(f"server {name}:", "server 127.0.0.1:")
    text = text.replace("/run/secrets/front.pem", pem).replace("/run/secrets/front.key", pem)
    main = tmp_path / "nginx.conf"
    main.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\n{text}\n}}\n")
    done = subprocess.run(
        [shutil.which("nginx") or "/usr/sbin/nginx", "-t", "-p", tmp_path, "-c", main],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
