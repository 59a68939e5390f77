"""Lays out one data folder for a real Milvus 2.3.5 that is started directly, without the Python launcher.

usage: prepare_milvus.py unpack BIN_PARENT
       prepare_milvus.py configure DATA METRICS_PORT PROXY_PORT [key=value ...]

`unpack` writes the server and its libraries into BIN_PARENT/bin (246 MB, once for all tests).
`configure` writes DATA/configs, an etcd configuration on free loopback ports (two Milvus on one
machine need it: the embedded etcd knows no other way to move its ports) and prints the environment
to start the server with as JSON. Every other port is a free one, so nothing collides with a Milvus
that already runs here.
"""

import json
import os
import random
import socket
import sys

INTERNAL_PORTS = (
    "proxy_internal_port",
    "root_coord_port",
    "query_coord_port",
    "query_node_port",
    "index_coord_port",
    "index_node_port",
    "data_coord_port",
    "data_node_port",
)


def free_ports(count):
    """Ports that nothing listens on now; held open together so that they differ.

    Below the range from which the kernel takes the ports of outgoing connections: Milvus must find
    them free again after each restart.
    """
    held = []
    while len(held) < count:
        listener = socket.socket()
        try:
            listener.bind(("0.0.0.0", random.randint(10_000, 32_000)))
        except OSError:
            listener.close()
            continue
        held.append(listener)
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports


def write_etcd_configuration(data, client_port, peer_port):
    path = os.path.join(data, "configs", "etcd.yaml")
    client = f"http://127.0.0.1:{client_port}"
    peer = f"http://127.0.0.1:{peer_port}"
    with open(path, "w", encoding="utf-8") as file:
        file.write(
            "name: default\n"
            f"data-dir: {os.path.join(data, 'data', 'etcd.data')}\n"
            f"listen-client-urls: {client}\nadvertise-client-urls: {client}\n"
            f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n"
            f"initial-cluster: default={peer}\n"
            "quota-backend-bytes: 4294967296\nauto-compaction-mode: revision\n"
            "auto-compaction-retention: '1000'\n"
            "log-level: warn\n"
            f"log-outputs: [{os.path.join(data, 'logs', 'etcd.log')}]\n"
        )
    return path


def configure(data, metrics_port, proxy_port, extra):
    from milvus import MilvusServerConfig

    data = os.path.abspath(data)
    ports = free_ports(len(INTERNAL_PORTS) + 2)
    client_port, peer_port = ports[-2:]
    chosen = dict(zip(INTERNAL_PORTS, ports))
    config = MilvusServerConfig(
        data_dir=data, proxy_port=proxy_port, etcd_port=client_port, **chosen
    )
    for key, value in extra.items():
        config.set(key, value)
    config.resolve()
    os.makedirs(os.path.join(data, "run"), exist_ok=True)
    etcd = write_etcd_configuration(data, client_port, peer_port)
    return {
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": str(metrics_port),
        "MILVUS_RUN_DIR": os.path.join(data, "run"),
        "ETCD_CONFIG_PATH": etcd,
        "ETCD_ENDPOINTS": f"127.0.0.1:{client_port}",
    }


def unpack(parent):
    from milvus import _initialize_data_files

    _initialize_data_files(parent)


def main(arguments):
    if len(arguments) == 2 and arguments[0] == "unpack":
        unpack(arguments[1])
    elif len(arguments) >= 4 and arguments[0] == "configure":
        extra = {}
        for pair in arguments[4:]:
            key, value = pair.split("=", 1)
            extra[key] = {"true": True, "false": False}.get(value, value)
        environment = configure(arguments[1], int(arguments[2]), int(arguments[3]), extra)
        json.dump(environment, sys.stdout)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
