"""Django's own mail functions, through django-anymail's backend for Resend. Prints the ids as JSON.

Arguments: the address of `postroom serve`, an API key, the sender.
"""

import json
import sys

import django
from django.conf import settings

URL, KEY, SENDER = sys.argv[1:]
settings.configure(
    EMAIL_BACKEND="anymail.backends.resend.EmailBackend",
    ANYMAIL={"RESEND_API_KEY": KEY, "RESEND_API_URL": URL},
    DEFAULT_FROM_EMAIL=SENDER,
)
django.setup()

from anymail.exceptions import AnymailRequestsAPIError
from anymail.message import attach_inline_image
from django.core.mail import EmailMultiAlternatives, send_mail

assert send_mail("Plain", "Hello from Django", None, ["bob@example.org"]) == 1

rich = EmailMultiAlternatives(
    "Rich", "Hello", f"Shop <{SENDER}>", ["Bob <bob@example.org>"], cc=["carol@example.org"], headers={"X-Order": "7"}
)
logo = attach_inline_image(rich, b"\x89PNG\r\n", subtype="png", idstring="logo")
rich.attach_alternative(f'<img src="cid:{logo}">', "text/html")
rich.attach("grüße.txt", "Grüße", "text/plain")
rich.tags, rich.metadata = ["receipt"], {"order": 7}
rich.esp_extra = {"priority": "urgent"}
rich.send()

each = EmailMultiAlternatives("Each", "One for each", SENDER, ["bob@example.org", "dave@example.org"])
each.merge_data = {"bob@example.org": {}, "dave@example.org": {}}
each.send()

try:
    EmailMultiAlternatives("Refused", "x", "stranger@example.com", ["bob@example.org"]).send()
    refused = None
except AnymailRequestsAPIError as error:
    refused = error.status_code

ids = {address: status.message_id for address, status in each.anymail_status.recipients.items()}
print(json.dumps({"rich": rich.anymail_status.message_id, "each": ids, "refused": refused, "content_id": logo}))
