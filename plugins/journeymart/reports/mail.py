"""A report as mail, over TLS, to the server that JOURNEYMART_SMTP_HOST names. Nothing is mailed where it names none."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path

from journeymart.definitions.packs import Pack
from journeymart.errors import JourneymartError, one_line
from journeymart.settings import Settings

NOT_TAKEN = (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)  # the server said no, for everybody


def server(settings: Settings) -> smtplib.SMTP:
    """The mail server, logged in; its certificate is checked. To be used as a context manager.

    Raises JourneymartError, with its name, if it is not reached or refuses.
    """
    port = settings.smtp.get("port", "587")
    if not port.isdecimal():
        raise JourneymartError(f"JOURNEYMART_SMTP_PORT must be a number, not '{one_line(port)}'")
    try:
        connection = smtplib.SMTP(settings.smtp["host"], int(port), timeout=60)
        try:
            connection.starttls(context=ssl.create_default_context())  # SSL_CERT_FILE names an authority of one's own
            if "user" in settings.smtp:
                connection.login(settings.smtp["user"], settings.secret("JOURNEYMART_SMTP_PASSWORD"))
        except BaseException:
            connection.close()
            raise
    except OSError as error:  # smtplib's own are some
        raise JourneymartError(f"the mail server {one_line(settings.smtp['host'])}:{port}: {error}") from error
    return connection


def message(settings: Settings, pack: Pack, folder: Path, sha256: str) -> EmailMessage:
    """The mail about a report that lies in `folder`; of the same report it has the same Message-ID."""
    mail = EmailMessage()
    mail["From"] = settings.smtp.get("from", "")
    if not mail["From"].addresses:
        raise JourneymartError("JOURNEYMART_SMTP_FROM is no address: mail needs a sender")
    mail["To"] = ", ".join(pack.report.recipients if pack.report else ())
    mail["Subject"] = one_line(f"{pack.label.ko} / {pack.label.en} ({folder.parent.name})")
    mail["Message-ID"] = f"<{folder.parent.name}.{pack.id}.{sha256[:16]}@{mail['From'].addresses[0].domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(
        f"{pack.description.ko}\n보고서는 첨부한 report.html 이고, 그 숫자는 CSV 파일에 있습니다.\n\n"
        f"{pack.description.en}\nThe report is the attached report.html; its numbers are in the CSV files.\n"
    )
    for path in sorted(folder.iterdir(), key=lambda path: path.suffix != ".html"):
        mail.add_attachment(path.read_bytes(), "text", path.suffix[1:], filename=path.name)
    return mail
