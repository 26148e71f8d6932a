"""Resend's SDK for Python, unmodified. Reads one JSON object a line: what to call; answers each with one line.

Arguments: `sync` or `async` (the SDK has both), the address of `postroom serve`.
"""

import asyncio
import base64
import json
import sys

import resend

KIND, resend.api_url = sys.argv[1:]


def attachment(given):
    made = {key: value for key, value in given.items() if key not in ("base64", "binary")}
    if "base64" in given:
        made["content"] = list(base64.b64decode(given["base64"])) if given.get("binary") else given["base64"]
    return made


def mail(given):
    return {**given, "attachments": [attachment(one) for one in given["attachments"]]} if "attachments" in given else given


def options(call):
    names = {"idempotency_key": "idempotency_key", "validation": "batch_validation"}
    return {option: call[name] for name, option in names.items() if name in call} or None


CALLS = {
    "send": lambda call: (resend.Emails, "send", mail(call["given"]), options(call)),
    "batch": lambda call: (resend.Batch, "send", [mail(one) for one in call["given"]], options(call)),
    "get": lambda call: (resend.Emails, "get", call["id"]),
    "list": lambda call: (resend.Emails, "list", call["page"]),
    "update": lambda call: (resend.Emails, "update", {"id": call["id"], "scheduled_at": call["scheduled_at"]}),
    "cancel": lambda call: (resend.Emails, "cancel", call["id"]),
    "key_create": lambda call: (resend.ApiKeys, "create", call["given"]),
    "key_list": lambda call: (resend.ApiKeys, "list"),
    "key_remove": lambda call: (resend.ApiKeys, "remove", call["id"]),
}


def ask(call):
    if call["op"] in ("put", "fetch"):
        verb = {"put": "put", "fetch": "get"}[call["op"]]
        return resend.Request(path=call["path"], params={}, verb=verb).perform()
    owner, method, *arguments = CALLS[call["op"]](call)
    if KIND == "async":
        return asyncio.run(getattr(owner, f"{method}_async")(*arguments))
    return getattr(owner, method)(*arguments)


def answer(call):
    resend.api_key = call["key"]
    try:
        data = dict(ask(call))
    except resend.exceptions.ResendError as error:
        told = {"statusCode": error.code, "name": error.error_type, "message": error.message, "class": type(error).__name__}
        return {"data": None, "error": told, "headers": lowered(error.headers)}
    return {"headers": lowered(data.pop("http_headers", {})), "data": data, "error": None}


def lowered(headers):
    return {name.lower(): value for name, value in headers.items()}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
