"""A real mail server in many tempers: aiosmtpd, each temper on a free loopback port of its own.

usage: smtp_server.py FOLDER CERTIFICATE KEY OTHER_CERTIFICATE OTHER_KEY

Prints one JSON object, the port of each temper, and serves until its standard input ends. Every mail that
is accepted is parsed by Python's email package and written to FOLDER/TEMPER-N.json; every login that is
tried is a line in FOLDER/TEMPER.logins.
"""

import asyncio
import json
import logging
import os
import ssl
import sys
import warnings
from email import message_from_bytes, policy

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

# What the clients do to it on purpose is not worth a word.
logging.getLogger("mail.log").setLevel(logging.CRITICAL)
warnings.simplefilter("ignore")

USER, PASSWORD = b"falconer", b"right horse"
FOREVER = 3600

folder = sys.argv[1]


def context(certificate, key):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made


trusted = context(sys.argv[2], sys.argv[3])
untrusted = context(sys.argv[4], sys.argv[5])


class Temper:
    """How one of the servers behaves: the hooks that aiosmtpd calls. This one takes every mail."""

    #: None: no TLS is offered.
    tls = trusted
    implicit_tls = False
    server = SMTP

    def __init__(self, name):
        self.name = name
        self.mails = 0
        self.tried = set()

    def authenticate(self, server, session, envelope, mechanism, data):
        with open(os.path.join(folder, f"{self.name}.logins"), "a", encoding="utf-8") as logins:
            logins.write(f"{mechanism} {'tls' if session.ssl else 'plain'}\n")
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        right = data.login == USER and data.password == PASSWORD
        return AuthResult(success=right, handled=False, auth_data=data)

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = await self.rcpt(envelope, address)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def rcpt(self, envelope, address):
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server, session, envelope):
        answer = await self.data()
        if answer.startswith("250"):
            self.keep(session, envelope)
        return answer

    async def data(self):
        return f"250 2.0.0 Ok: queued as {self.name}-{self.mails + 1}"

    def keep(self, session, envelope):
        mail = message_from_bytes(envelope.content, policy=policy.default)
        parts = {part.get_content_type(): part.get_content() for part in mail.iter_parts()}
        self.mails += 1
        record = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "addresses": [address.addr_spec for address in mail["to"].addresses],
            "type": mail.get_content_type(),
            "parts": parts,
            "defects": [str(defect) for defect in mail.defects],
        }
        path = os.path.join(folder, f"{self.name}-{self.mails}.json")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(record, file)
        os.rename(path + ".new", path)

    def make(self):
        return self.server(
            self,
            hostname="mail.example.com",
            tls_context=None if self.implicit_tls else self.tls,
            require_starttls=self.tls is not None and not self.implicit_tls,
            authenticator=self.authenticate,
            auth_required=True,
            auth_require_tls=self.tls is not None and not self.implicit_tls,
        )


async def hang(*_):
    await asyncio.sleep(FOREVER)


async def ehlo_hang(self, server, session, envelope, hostname, responses):
    await asyncio.sleep(FOREVER)


def server(**methods):
    return type("TemperedSMTP", (SMTP,), methods)


async def data_cut(self, arg):
    await self.push("354 go on")
    await self._reader.readline()
    self.transport.abort()


async def tls_hang(self, arg):
    await self.push("220 go ahead")
    await asyncio.sleep(FOREVER)


def closed(self, transport):
    transport.close()


def answers(**hooks):
    async def data(self):
        return hooks["data"]

    async def rcpt(self, envelope, address):
        return hooks["rcpt"]

    known = {"data": data, "rcpt": rcpt}
    return {name: known[name] for name in hooks}


async def greylist(self, envelope, address):
    """Puts every stranger off once."""
    if (envelope.mail_from, address) in self.tried:
        return "250 2.1.5 Ok"
    self.tried.add((envelope.mail_from, address))
    return "451 4.7.1 Greylisted, try again later"


async def greylist_ops(self, envelope, address):
    return await greylist(self, envelope, address) if address.startswith("ops@") else "250 2.1.5 Ok"


async def refuse_ops(self, envelope, address):
    return "550 5.1.1 No such user" if address.startswith("ops@") else "250 2.1.5 Ok"


async def refuse_sender(self, server, session, envelope, address, options):
    return "553 5.7.1 Sender address rejected: not owned by user falconer"


TEMPERS = {
    "accept": {},
    "implicit_tls": {"implicit_tls": True},
    "greylist": {"rcpt": greylist},
    "greylist_one": {"rcpt": greylist_ops},
    "refuse_one": {"rcpt": refuse_ops},
    "refuse_all": answers(rcpt="550 5.1.1 No such user"),
    "refuse_sender": {"handle_MAIL": refuse_sender},
    "refuse_mail": answers(data="554 5.7.1 Message rejected as spam"),
    "full": answers(data="452 4.2.2 Mailbox full"),
    "hang_greeting": {"server": server(_handle_client=hang)},
    "hang_ehlo": {"handle_EHLO": ehlo_hang},
    "hang_starttls": {"server": server(smtp_STARTTLS=hang)},
    "hang_tls": {"server": server(smtp_STARTTLS=tls_hang)},
    "hang_login": {"handle_AUTH": hang},
    "hang_sender": {"handle_MAIL": hang},
    "hang_recipient": {"handle_RCPT": hang},
    "hang_data": {"server": server(smtp_DATA=hang)},
    "hang_end": {"handle_DATA": hang},
    "cut_data": {"server": server(smtp_DATA=data_cut)},
    "close": {"server": server(connection_made=closed)},
    "untrusted": {"tls": untrusted},
    "no_starttls": {"tls": None},
}


async def main():
    loop = asyncio.get_running_loop()
    ports = {}
    for name, methods in TEMPERS.items():
        temper = type("Tempered", (Temper,), methods)(name)
        tls = temper.tls if temper.implicit_tls else None
        listener = await loop.create_server(temper.make, "127.0.0.1", 0, ssl=tls)
        ports[name] = listener.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


asyncio.run(main())
