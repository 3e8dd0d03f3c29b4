"""The files of docs/recipes: what makes each of them safe stands in it. `tests/e2e/test_recipes.py` runs them."""

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

from egret.cli.__main__ import COMMANDS
from egret.sandbox.environment import BUNDLES, PROXY
from egret.sandbox.namespace import CAPTURE
from egret.sections import sections

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "docs" / "recipes"
TOKENS = re.compile(r"eg[a-z]_[A-Za-z0-9]{8}|sk-[a-z]")
PROXIES = {spelling for name in PROXY[:3] for spelling in (name, name.lower())}
TRUSTED = {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "npm_config_cafile"}


def settings_in(environment):
    """The settings that EGRET_… variables name; each exists."""
    known = {f"EGRET_{name}__{key}".upper() for name, cls in sections().items() for key in cls.__dataclass_fields__}
    found = {name: value for name, value in environment.items() if name.startswith("EGRET_")}
    assert set(found) <= known
    return found


def of_a_client(environment, ca):
    """The variables by which clients find the proxy and trust its CA, and no key."""
    assert {name for name in environment if name.lower().endswith("_proxy")} - {
        "NO_PROXY", "no_proxy", "NODE_USE_ENV_PROXY",
    } == PROXIES  # fmt: skip
    assert environment["NO_PROXY"] == environment["no_proxy"] == ""
    assert TRUSTED <= set(BUNDLES) and {environment[name] for name in (*TRUSTED, "NODE_EXTRA_CA_CERTS")} == {ca}
    assert environment["NODE_USE_ENV_PROXY"] == "1"
    assert not any(name.startswith("EGRET_") for name in environment)


@pytest.mark.parametrize("page", sorted(RECIPES.glob("*.md")), ids=lambda page: page.name)
def test_a_recipe_says_what_runs_it(page):
    """Each page names the tests that run it, which exist, and says what was not run."""
    text = page.read_text()
    named = re.findall(r"tests/[\w/]+\.py", text)
    assert named and all((ROOT / name).exists() for name in named)
    assert "not run" in text


def test_every_file_belongs_to_a_page():
    """What can be copied is linked from a page beside it, and holds no token."""
    pages = "".join(page.read_text() for page in RECIPES.glob("*.md"))
    files = [file for file in RECIPES.iterdir() if file.is_file() and file.suffix != ".md"]
    assert files
    assert [file.name for file in files if f"({file.name})" not in pages] == []
    assert [file.name for file in files if TOKENS.search(file.read_text())] == []


class TestCompose:
    """Code on a network with Egret's proxy and nobody else."""

    @pytest.fixture
    def file(self):
        return yaml.safe_load((RECIPES / "compose.yaml").read_text())

    def test_the_code_has_no_way_but_the_proxy(self, file):
        """One network, internal, without an address of the host; names go nowhere; Egret alone is on the other."""
        assert file["services"]["code"]["networks"] == ["inside"]
        inside = file["networks"]["inside"]
        assert inside["internal"] is True and inside["enable_ipv6"] is False
        assert inside["driver_opts"]["com.docker.network.bridge.gateway_mode_ipv4"] == "isolated"
        assert file["services"]["code"]["dns"] == ["127.0.0.1"]
        assert [name for name, service in file["services"].items() if "outside" in service["networks"]] == ["egret"]

    def test_only_the_forward_proxy_listens_where_the_code_is(self, file):
        """Admin API and gateway are on loopback, and no port leaves."""
        set_ = settings_in(file["services"]["egret"]["environment"])
        listening = {name for name, value in set_.items() if name.endswith("LISTEN") and not value.startswith("127.")}
        assert listening == {"EGRET_PROXY__LISTEN"}
        assert set_["EGRET_PROXY__PUBLIC_URL"] == "http://egret:8080"
        assert {"EGRET_ADMIN__LISTEN", "EGRET_GATEWAY__LISTEN"} <= set(set_)  # the image's own are on all interfaces
        hardly = {"ports", "expose", "network_mode", "extra_hosts", "links", "privileged", "cap_add", "pid", "ipc"}
        assert not any(hardly & set(service) for service in file["services"].values())

    def test_containers_are_confined(self, file):
        """No capabilities, no new privileges, a read-only root; the code's user is a number, its mounts read-only."""
        for service in file["services"].values():
            assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
        code = file["services"]["code"]
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", code["user"])
        assert [mount.rsplit(":", 1)[1] for mount in code["volumes"]] == ["ro", "ro"]
        assert not any("docker.sock" in mount for service in file["services"].values() for mount in service["volumes"])
        assert {mount.split(":")[0] for mount in code["volumes"]}.isdisjoint(file["volumes"])

    def test_the_environment_is_a_clients(self, file):
        """The session's URL comes from outside, and its lack ends the start."""
        environment = file["services"]["code"]["environment"]
        of_a_client(environment, "/etc/egret-ca.pem")
        assert all(environment[name].startswith("${SESSION_PROXY_URL:?") for name in PROXIES)
        assert "./egret-ca.pem:/etc/egret-ca.pem:ro" in file["services"]["code"]["volumes"]


def documents(name):
    """The documents of a manifest, by kind and name."""
    found = list(yaml.safe_load_all((RECIPES / name).read_text()))
    named = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(named) == len(found)
    return named


MANIFESTS = ("kubernetes.yaml", "kubernetes-init.yaml", "kubernetes-code.yaml", "kubernetes-sidecar.yaml")


def pods():
    """Each pod's specification."""
    found = []
    for (kind, _), one in [item for name in MANIFESTS for item in documents(name).items()]:
        if kind in ("StatefulSet", "Pod"):
            spec = one["spec"]["template"]["spec"] if kind == "StatefulSet" else one["spec"]
            found.append(pytest.param(spec, id="-".join(one["metadata"].values())))
    return found


API = json.loads((ROOT / "tests" / "support" / "kubernetes-1.37.json").read_text())


class TestKubernetes:
    """One egress proxy for many pods."""

    @pytest.mark.parametrize("name", MANIFESTS)
    def test_every_object_is_one_of_kubernetes(self, name):
        """By the strict schema of its kind: a member that Kubernetes does not know would be left out without a word."""
        groups = {"v1": "core.v1", "apps/v1": "apps.v1", "networking.k8s.io/v1": "networking.v1"}
        for (kind, _), one in documents(name).items():
            reference = f"#/definitions/io.k8s.api.{groups[one['apiVersion']]}.{kind}"
            found = jsonschema.Draft202012Validator(API | {"$ref": reference}).iter_errors(one)
            assert [f"{kind}: {error.json_path}: {error.message}" for error in found] == []

    @pytest.mark.parametrize("spec", pods())
    def test_pods_are_confined(self, spec):
        """As the profile `restricted` has it and more: users by number, read-only roots, no account's token."""
        whole = spec["securityContext"]
        assert whole["runAsNonRoot"] is True and whole["runAsUser"] >= 1000 and whole["runAsGroup"] >= 1000
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(spec)
        assert all(
            set(volume) & {"emptyDir", "configMap", "persistentVolumeClaim", "secret"} for volume in spec["volumes"]
        )
        declared = [volume["name"] for volume in spec["volumes"]]
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {mount["name"] for mount in container["volumeMounts"]} <= set(declared)

    def test_the_images_user_is_the_pods(self):
        """The number in the Dockerfile is the one in the manifests."""
        (number,) = re.findall(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())
        stateful = documents("kubernetes.yaml")["StatefulSet", "egret"]["spec"]["template"]["spec"]
        init = documents("kubernetes-init.yaml")["Pod", "egret-init"]["spec"]
        for spec in (stateful, init):
            assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["fsGroup"] == int(number)
            # Else the group would be let into every file at each start, and keys that a group may read are refused.
            assert spec["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"

    def test_the_volume_is_made_before_the_planes(self):
        """With the planes it would be mounted empty, and root's folders would be where `egret init` makes its own."""
        assert ("PersistentVolumeClaim", "egret") in documents("kubernetes-init.yaml")
        assert "PersistentVolumeClaim" not in {kind for kind, _ in documents("kubernetes.yaml")}

    def test_each_plane_has_its_probes_and_its_keys(self):
        """The data folder is below the volume's root; the other plane's keys are covered."""
        spec = documents("kubernetes.yaml")["StatefulSet", "egret"]["spec"]["template"]["spec"]
        planes = {one["name"]: one for one in spec["containers"]}
        assert {name: one["args"] for name, one in planes.items()} == {
            name: [name, "--data", "/data/egret"] for name in ("store", "proxy", "gateway")
        }
        assert set(planes) <= set(COMMANDS)
        for name, plane in planes.items():
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(plane)
            covered = [mount["mountPath"] for mount in plane["volumeMounts"] if mount["name"] == "nothing"]
            assert covered == [f"/data/egret/keys/{'data' if name == 'store' else 'control'}"]
            set_ = settings_in({one["name"]: one["value"] for one in plane["env"]})
            assert set_["EGRET_ADMIN__LISTEN"].startswith("127.0.0.1:")
            assert len(set_) == len(plane["env"])

    def test_sandboxes_reach_the_proxy_and_nothing_else(self):
        """All pods, both directions, one way out: the port that the service has, in Egret's namespace; no DNS."""
        found = documents("kubernetes.yaml")
        policy = found["NetworkPolicy", "only-the-proxy"]
        assert policy["metadata"]["namespace"] == "sandboxes"
        assert policy["spec"]["podSelector"] == {} and policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert policy["spec"]["ingress"] == []
        ((rule,),) = [policy["spec"]["egress"]]
        (peer,) = rule["to"]  # one peer with both selectors: two would be "or"
        assert peer == {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "egret"}},
            "podSelector": {"matchLabels": {"app": "egret"}},
        }
        assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
        assert found["Service", "egret-proxy"]["spec"]["ports"] == [{"port": 8080, "targetPort": 8080}]
        policies = [one["metadata"]["namespace"] for (kind, _), one in found.items() if kind == "NetworkPolicy"]
        assert policies == ["sandboxes", "egret"]  # they add up: a second one could only let more through
        for name, file in (("sandboxes", "kubernetes.yaml"), ("egret", "kubernetes-init.yaml")):
            enforce = documents(file)["Namespace", name]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
            assert enforce == "restricted"

    def test_egret_is_reached_by_sandboxes_at_the_proxy_alone(self):
        """And dials no private network, even if it would."""
        policy = documents("kubernetes.yaml")["NetworkPolicy", "egret"]["spec"]
        (rule,) = policy["ingress"]
        assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
        names, world = policy["egress"]
        assert {port["port"] for port in names["ports"]} == {53}
        (block,) = (peer["ipBlock"] for peer in world["to"])
        private = {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8", "100.64.0.0/10"}
        assert private <= set(block["except"])

    def test_a_sidecar_has_the_session_and_the_code_has_not(self):
        """One container may redirect, and ends before the others; the spared user is the sidecar's alone."""
        spec = documents("kubernetes-sidecar.yaml")["Pod", "code"]["spec"]
        redirect, sidecar = spec["initContainers"]
        (code,) = spec["containers"]
        confined = code["securityContext"]
        assert redirect["securityContext"] == {
            **confined, "runAsNonRoot": False, "runAsUser": 0, "runAsGroup": 0,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
        }  # fmt: skip
        assert "restartPolicy" not in redirect and sidecar["restartPolicy"] == "Always"
        (number,) = re.findall(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())
        assert sidecar["securityContext"] == {**confined, "runAsUser": int(number), "runAsGroup": int(number)}
        assert redirect["args"] == ["sidecar", "redirect", "--user", number]
        assert spec["securityContext"]["runAsUser"] != int(number)
        assert str(CAPTURE) in sidecar["startupProbe"]["exec"]["command"][-1]
        mounted = {one["name"] for one in code["volumeMounts"]}
        assert "session" not in mounted and [one["name"] for one in sidecar["volumeMounts"]] == ["session"]
        environment = {one["name"]: one["value"] for one in code["env"]}
        assert not [name for name in environment if name.lower().endswith("_proxy") or name.startswith("EGRET_")]
        assert {environment[name] for name in (*TRUSTED, "NODE_EXTRA_CA_CERTS")} == {"/etc/egret/ca.pem"}

    def test_captured_pods_reach_the_proxy_and_nothing_else(self):
        """By the same policy as the others, whatever the rules in the pod are; and Egret lets them in at the proxy."""
        found, others = documents("kubernetes-sidecar.yaml"), documents("kubernetes.yaml")
        policy = found["NetworkPolicy", "only-the-proxy"]
        assert policy["metadata"]["namespace"] == "captured"
        assert policy["spec"] == others["NetworkPolicy", "only-the-proxy"]["spec"]
        assert found["NetworkPolicy", "egret-captured"]["spec"]["policyTypes"] == ["Ingress"]
        (rule,) = found["NetworkPolicy", "egret-captured"]["spec"]["ingress"]
        (same,) = others["NetworkPolicy", "egret"]["spec"]["ingress"]
        assert yaml.safe_dump(rule) == yaml.safe_dump(same).replace("sandboxes", "captured")
        pod = found["Pod", "code"]["spec"]
        assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})

    def test_the_code_has_no_name_service_and_its_session_from_a_secret(self):
        """The one name stands in /etc/hosts; the environment is a client's; no value, key or token is written down."""
        spec = documents("kubernetes-code.yaml")["Pod", "code"]["spec"]
        assert (spec["dnsPolicy"], spec["dnsConfig"]) == ("None", {"nameservers": ["127.0.0.1"]})
        assert spec["hostAliases"] == [{"ip": "PROXY_IP", "hostnames": ["egret-proxy"]}]
        (container,) = spec["containers"]
        of_session = [one for one in container["env"] if "valueFrom" in one]
        assert {one["name"] for one in of_session} == PROXIES
        assert all(one["valueFrom"] == {"secretKeyRef": {"name": "session", "key": "proxy_url"}} for one in of_session)
        of_a_client({one["name"]: one.get("value") for one in container["env"]}, "/etc/egret/ca.pem")
        assert all(mount.get("readOnly") for mount in container["volumeMounts"] if mount["name"] != "tmp")


class TestSystemd:
    """Store and data plane as two users."""

    PLANES = ("store", "proxy", "gateway")

    def unit(self, plane):
        parsed = configparser.ConfigParser(interpolation=None, strict=True)
        parsed.optionxform = str
        parsed.read(RECIPES / f"egret-{plane}.service")
        return parsed["Service"]

    @pytest.mark.parametrize("plane", PLANES)
    def test_a_unit_has_its_user_and_its_paths(self, plane):
        """Nothing gives the folder to one user; what a plane does not write is read-only, the other's keys are away."""
        unit = self.unit(plane)
        mine, other = ("store", "data") if plane == "store" else ("data", "control")
        assert (unit["User"], unit["Group"]) == (f"egret-{mine}", "egret")
        assert unit["ExecStart"].split()[1:2] == [plane] and plane in COMMANDS
        assert unit["InaccessiblePaths"] == f"/var/lib/egret/keys/{other}"
        assert (unit["ProtectSystem"], unit["NoNewPrivileges"], unit["LimitCORE"]) == ("strict", "yes", "0")
        assert not {"StateDirectory", "Environment", "EnvironmentFile", "LoadCredential"} & set(unit)
        writes = unit["ReadWritePaths"].split()
        assert writes == (
            ["/var/lib/egret"] if plane == "store" else [f"/var/lib/egret/{one}" for one in ("spool", "state")]
        )
        drain = next(cls for name, cls in sections().items() if name == "limits")().drain_timeout
        assert int(unit["TimeoutStopSec"]) > drain

    @pytest.mark.needs("systemd-analyze")
    def test_systemd_understands_the_units(self, tmp_path):
        """With a program that is there for Egret's."""
        for plane in self.PLANES:
            text = (RECIPES / f"egret-{plane}.service").read_text()
            (tmp_path / f"egret-{plane}.service").write_text(text.replace("/opt/egret/bin/egret", "/bin/true"))
        units = sorted(tmp_path.iterdir())
        done = subprocess.run([shutil.which("systemd-analyze"), "verify", *units], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")  # what it does not know it names and goes on
        assert len(units) == 3

    @pytest.mark.needs("systemd-sysusers")
    def test_the_users_are_the_units(self):
        """Both exist in the group, and systemd reads the file."""
        file = RECIPES / "egret.sysusers"
        made = set(re.findall(r"(?m)^u (\S+) +-:egret ", file.read_text()))
        assert made == {self.unit(plane)["User"] for plane in self.PLANES}
        words = [shutil.which("systemd-sysusers"), "--dry-run", file]
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr


class TestGitHubActions:
    """A job whose code uses a secret that it never has."""

    def test_the_secret_is_in_the_last_step_alone(self):
        """Not in the workflow's or the job's environment, not in a command; the job may read and no more."""
        workflow = yaml.safe_load((RECIPES / "github-actions.yml").read_text())
        assert workflow["permissions"] == {"contents": "read"}
        (job,) = workflow["jobs"].values()
        *steps, last = job["steps"]
        assert last["env"] == {"VALUE": "${{ secrets.API_TOKEN }}"}
        assert "${{" not in str({**workflow, "jobs": {**job, "steps": [*steps, {**last, "env": {}}]}})
        assert "GITHUB_ENV" not in str(workflow)
        settings_in(job["env"])
        checkout = next(step for step in steps if step.get("uses", "").startswith("actions/checkout@"))
        assert checkout["with"]["persist-credentials"] is False

    def test_the_code_runs_in_a_sandbox_or_not_at_all(self):
        """The value is out of the environment before anything is started; the sandbox is required."""
        workflow = yaml.safe_load((RECIPES / "github-actions.yml").read_text())
        (job,) = workflow["jobs"].values()
        lines = job["steps"][-1]["run"].splitlines()
        assert lines[:2] == ["value=$VALUE", "unset VALUE"]
        assert lines[-1].startswith("egret run --sandbox require ")
        assert not any("export value" in line for line in lines)
