"""Which of the user's variables the command gets: all that are no credentials and lead nowhere.

Left out are names that say what they hold (`*_TOKEN`, `*PASSWORD*`), values that look like credentials (a URL with a
password, a private key, the prefix of a known token), and ways to something outside: agents, buses, displays.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

OURS: Final = re.compile(r"EGRET_.*")

CREDENTIAL_NAME: Final = re.compile(
    r"(.*[_-])?(API_?KEY|APIKEY|KEY|TOKENS?|SECRETS?|PAT|CREDENTIALS?|COOKIE|JWT|BEARER|DSN)(_(ID|FILE|BASE64|B64|JSON))?"
    r"|.*(PASSWORD|PASSWD|PASSPHRASE|SECRET|PRIVATE_?KEY|ACCESS_?KEY|AUTH_?TOKEN|_AUTH$|CONNECTION_?STRING).*"
    r"|PGPASS.*|MYSQL_PWD|REDISCLI_AUTH|GIT_ASKPASS|SUDO_ASKPASS|SSH_ASKPASS|NETRC|_AUTH",
    re.IGNORECASE,
)

CREDENTIAL_VALUE: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://[^/\s@:]*:[^/\s@]+@"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|\b(eg[ks]_|sk-|sk_live_|rk_live_|gh[pousr]_|github_pat_|glpat-|xox[abprs]-|hf_|npm_|pypi-|AKIA|ASIA|AIza|ya29\.)"
    r"[A-Za-z0-9_-]{10}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ"
)

WAYS_OUT: Final = re.compile(
    r"SSH_AUTH_SOCK|SSH_AGENT_PID|SSH_CONNECTION|SSH_CLIENT|SSH_TTY|GPG_AGENT_INFO|DBUS_.*|DISPLAY|WAYLAND_.*|XAUTHORITY|XDG_RUNTIME_DIR"
    r"|XDG_(DATA|CONFIG|STATE|CACHE)_HOME|DOCKER_.*|CONTAINER_HOST|KUBECONFIG|KUBERNETES_.*|TMUX|STY|WSL_INTEROP|WSLENV|VSCODE_.*|NOTIFY_SOCKET"
    r"|LISTEN_(FDS|PID|FDNAMES)|JOURNAL_STREAM|INVOCATION_ID|SYSTEMD_.*|PULSE_SERVER|ICEAUTHORITY|SESSION_MANAGER|HISTFILE|TMPDIR|TEMP|TMP"
    r"|AWS_(PROFILE|CONFIG_FILE|SHARED_CREDENTIALS_FILE|WEB_IDENTITY_TOKEN_FILE|CONTAINER_.*)|GOOGLE_APPLICATION_CREDENTIALS"
    r"|GCE_METADATA_.*|IDENTITY_(ENDPOINT|HEADER|SERVER_THUMBPRINT)|IMDS_ENDPOINT|MSI_(ENDPOINT|SECRET)|BASH_FUNC_.*"
)


def variables(
    environ: Mapping[str, str], names: Collection[str], keep: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Return (what passes, names of what was left out because it looks like a credential).

    `names` are the dataset's own: they become placeholders, whatever the user has under them. `keep` passes in any
    case, but for the API key.
    """
    passed: dict[str, str] = {}
    left: list[str] = []
    key = environ.get("EGRET_API_KEY")
    for name, value in environ.items():
        if OURS.fullmatch(name) or (key and key in value):
            continue
        if name in keep:
            passed[name] = value
        elif name in names or WAYS_OUT.fullmatch(name):
            continue
        elif CREDENTIAL_NAME.fullmatch(name) or CREDENTIAL_VALUE.search(value):
            left.append(name)
        else:
            passed[name] = value
    return passed, sorted(left)
