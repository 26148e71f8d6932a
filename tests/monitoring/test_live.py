"""Prometheus scrapes the real processes, and alerts come to a webhook and end there (`make test-monitoring`).

The rules are those of k8s/monitoring with shorter durations (shorten.py). The tests follow each other on one stand.
"""

import json
import urllib.error

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from stand import ACCOUNTS, MONITORING, fetch, until

ALICE, BOB = ACCOUNTS
RULES = ("PostroomDeadGrowing", "PostroomAccountHeld", "PostroomRedisDown", "PostroomNoWorker")


def sent(stand):
    return stand.figure('sum(postroom_attempts_total{outcome="sent"})') or 0


@pytest.mark.parametrize("program", ["serve", "worker"])
def test_a_parser_of_another_make_reads_the_figures(stand, program):
    text = fetch(f"{stand.url[program]}/metrics", headers={"accept": "application/openmetrics-text"})
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) > 12 and all(family.documentation for family in families.values())
    assert {sample.labels["program"] for sample in families["postroom_build_info"].samples} \
        == {"postroom" if program == "serve" else "postroom-worker"}


def revoke_consent(stand):
    """Bob's. A connection that is still warm would carry his next mail all the same."""
    until("no connection to be open", lambda: stand.figure("sum(postroom_connections)") == 0)
    fetch(f"{stand.url['sandbox']}/api/accounts/{BOB}/revoke", {})


def test_every_process_is_scraped_and_mail_shows_in_the_figures(stand):
    until("both programs", lambda: {series["metric"]["program"] for series in stand.ask("postroom_build_info")}
          == {"postroom", "postroom-worker"})
    assert {series["value"][1] for series in stand.ask("up")} == {"1"}
    stand.send(60)
    stand.send(10, account=BOB)
    until("70 mails sent", lambda: sent(stand) >= 70)
    until("all of them on time", lambda: stand.figure('sum(postroom_mails_finished_total{timeliness="on_time"})') == 70)


def test_each_mail_of_a_kind_shows_where_it_belongs(stand):
    """A retry, an uncertain end, requests of the API that are taken and refused."""
    stand.fault({"stage": "final", "per_mail_times": 1, "subject": "Again", "action": {"reply": "451 4.3.0 Try again later - gsmtp"}})
    stand.fault({"stage": "final", "times": 1, "subject": "Doubt", "action": "accept_then_cut"})
    before = sent(stand)
    stand.send(3, subject="Again")
    stand.send(1, subject="Doubt")
    headers = {"authorization": f"Bearer {stand.key}"}
    mail = {"from": ALICE, "to": "someone@example.org", "subject": "By HTTP", "text": "Hello."}
    json.loads(fetch(f"{stand.url['api']}/emails", mail, headers=headers))
    with pytest.raises(urllib.error.HTTPError):
        fetch(f"{stand.url['api']}/emails", mail | {"to": "nobody"}, headers=headers)
    until("all of them sent", lambda: sent(stand) >= before + 5)
    until("the doubt to be told", lambda: stand.figure("sum(postroom_uncertain_total)") == 1)
    until("the look into Sent", lambda: stand.figure('sum(postroom_reconciled_total{result="found"})') == 1)
    until("the retries", lambda: stand.figure('sum(postroom_attempts_total{outcome="retry",reason="server_busy"})') == 3)
    until("the refusal", lambda: stand.figure("sum(postroom_api_refusals_total)") == 1)
    stand.heal()


def test_growing_dead_letters_are_a_ticket_until_they_are_gone(stand):
    stand.fault({"stage": "rcpt", "recipient": "nobody@", "action": {"reply": "550 5.1.1 No such user - gsmtp"}})
    stand.send(25, to="nobody@example.org")
    alert = stand.webhook.wait("PostroomDeadGrowing", "firing", "/tickets")
    assert alert["annotations"]["runbook_url"].endswith("/PostroomDeadGrowing.md")
    assert (MONITORING / "runbooks" / alert["annotations"]["runbook_url"].rsplit("/", 1)[1]).is_file()
    assert alert["annotations"]["dashboard_url"] == f"{stand.url['api']}/dashboard/dead"
    assert alert["labels"] == {"alertname": "PostroomDeadGrowing", "severity": "ticket"}
    # Bad addresses are not counted against being on time.
    assert stand.figure("max(postroom:mails_bad:increase1h)") < 5
    stand.heal()
    stand.postroom("dead", "discard", "--all", "--yes")
    stand.webhook.wait("PostroomDeadGrowing", "resolved", "/tickets")


def test_a_revoked_consent_pages_until_the_account_is_stored_anew(stand):
    revoke_consent(stand)
    stand.send(3, account=BOB)
    alert = stand.webhook.wait("PostroomAccountHeld", "firing", "/pager")
    assert alert["labels"]["held"] == "consent" and "1 account(s) held" in alert["annotations"]["summary"]
    assert BOB not in json.dumps(stand.webhook.told)
    before = sent(stand)
    fetch(f"{stand.url['sandbox']}/api/accounts/{BOB}/restore", {})
    stand.add_account(BOB)
    stand.webhook.wait("PostroomAccountHeld", "resolved", "/pager")
    until("what waited to go", lambda: sent(stand) >= before + 3)


def test_a_redis_that_is_down_pages_and_keeps_the_other_alerts_silent(stand):
    revoke_consent(stand)
    stand.send(1, account=BOB)
    told = len(stand.webhook.told)
    stand.webhook.wait("PostroomAccountHeld", "firing", "/pager", told)
    stand.end("redis")
    stand.webhook.wait("PostroomRedisDown", "firing", "/pager", told)

    def states():
        alerts = json.loads(fetch(f"{stand.url['alertmanager']}/api/v2/alerts"))
        return {alert["labels"]["alertname"]: alert["status"] for alert in alerts}

    down = until("the other alert to be inhibited",
                 lambda: (now := states()).get("PostroomAccountHeld", {}).get("inhibitedBy") and now)
    assert down["PostroomRedisDown"]["state"] == "active" and not down["PostroomRedisDown"]["inhibitedBy"]
    stand.start_redis()
    stand.webhook.wait("PostroomRedisDown", "resolved", "/pager", told)
    fetch(f"{stand.url['sandbox']}/api/accounts/{BOB}/restore", {})
    stand.add_account(BOB)
    stand.webhook.wait("PostroomAccountHeld", "resolved", "/pager", told)


def test_no_worker_pages_and_mail_that_went_late_burns_the_allowance(stand):
    stand.end("worker")
    told = len(stand.webhook.told)
    before = stand.figure('sum(postroom_mails_finished_total{timeliness="late"})') or 0
    stand.send(40)
    alert = stand.webhook.wait("PostroomNoWorker", "firing", "/pager", told)
    assert alert["annotations"]["dashboard_url"] == f"{stand.url['api']}/dashboard/workers"
    # Older than POSTROOM_ON_TIME of the stand by now, by the queue's own figure.
    until("the mail to be old", lambda: (stand.figure("max(postroom_oldest_ready_age_seconds)") or 0) > 12)
    stand.start_worker()
    stand.webhook.wait("PostroomNoWorker", "resolved", "/pager", told)
    stand.webhook.wait("PostroomOnTimeBurnFast", "firing", "/pager", told)
    assert before == 0 and stand.figure('sum(postroom_mails_finished_total{timeliness="late"})') == 40
    stand.webhook.wait("PostroomOnTimeBurnFast", "resolved", "/pager", told)


def test_every_alert_that_was_seen_has_ended(stand):
    for name in RULES:
        assert stand.webhook.find(name, "firing") and stand.webhook.find(name, "resolved"), name
    until("no page to be open", lambda: not stand.ask('ALERTS{alertstate="firing",severity="page"}'))
