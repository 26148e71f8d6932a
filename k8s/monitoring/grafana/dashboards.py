"""The three Grafana dashboards of Postroom, as code: fleet, accounts, failures.

`make dashboards` writes the JSON files beside this script; a test says when they are stale. Every query is run by
`make test-monitoring` against a Prometheus that scrapes the real binaries. Panels say in their description what a spike and a
sustained rise mean.
"""

import pathlib
import sys

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
# Chosen above each dashboard; an installation without that label has one empty value.
WHERE = 'namespace=~"$namespace"'


def query(expr, legend="", *, instant=False, exemplar=False, ref="A"):
    """One query; `@` stands for the choice of the namespace, `~` for the interval of a rate."""
    expr = expr.replace("@", WHERE).replace("~]", "$__rate_interval]")
    built = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(ref).exemplar(exemplar)
    if instant:
        return built.instant().format(prometheus_models.PromQueryFormat.TABLE)
    return built.range()


def figure(title, description, expr, unit="short", steps=()):
    """One number, coloured by limits: `steps` are pairs of a value and a colour."""
    limits = [models.Threshold(value=None, color="green")] + [models.Threshold(value=v, color=c) for v, c in steps]
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(limits))
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .height(4)
        .span(4)
        .with_target(query(expr))
    )


def lines(title, description, queries, unit="short", span=12, stacked=False, exemplar=False):
    """Lines over time; `queries` are pairs of an expression and a legend."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .line_width(1)
        .fill_opacity(20 if stacked else 5)
        .height(8)
        .span(span)
        .tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
        .legend(common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST).show_legend(True))
    )
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    for place, (expr, legend) in enumerate(queries):
        panel = panel.with_target(query(expr, legend, exemplar=exemplar, ref=chr(ord("A") + place)))
    return panel


def rows(title, description, expr, span=12):
    """A table of what there is now."""
    return (
        table.Panel().title(title).description(description).datasource(SOURCE).height(8).span(span)
        .with_target(query(expr, instant=True))
    )


def quantiles(metric, labels="", by=""):
    """The middle and the slow end of a histogram."""
    inside = f"sum by (le{by}) (rate({metric}_bucket{{@{labels}}}[~]))"
    return [(f"histogram_quantile({q}, {inside})", f"p{int(q * 100)}") for q in (0.5, 0.95, 0.99)]


def board(uid, title, description):
    """An empty dashboard with the choices that all of them have."""
    datasource = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    namespace = (
        dashboard.QueryVariable("namespace")
        .label("Namespace")
        .datasource(SOURCE)
        .query("label_values(postroom_build_info, namespace)")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .include_all(True)
        .all_value(".*")
        .multi(True)
    )
    return (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["postroom"])
        .refresh("30s")
        .time("now-6h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .with_variable(datasource)
        .with_variable(namespace)
        .link(dashboard.DashboardLink("Postroom").type(models.DashboardLinkType.DASHBOARDS).tags(["postroom"]).include_vars(True).keep_time(True))
    )


def fleet():
    """What goes, what waits, and whether the fleet is large enough."""
    made = board("postroom-fleet", "Postroom: fleet", "What goes, what waits and why, and whether the fleet is large enough.")
    made = (
        made
        .with_panel(figure("On time, 24 h", "Share of the mails that ended in time. The aim is 99.5 % in 30 days.",
            'sum(increase(postroom_mails_finished_total{@,timeliness="on_time"}[1d])) / sum(increase(postroom_mails_finished_total{@}[1d]))',
            "percentunit"))
        .with_panel(figure("Sent a second", "Mails that the server took. A fall to zero beside mail that waits: see workers and holds.",
            'sum(rate(postroom_attempts_total{@,outcome="sent"}[~]))', "ops"))
        .with_panel(figure("Oldest ready", "Age of the oldest mail that may go now. It rises while workers are missing or too few; holds do not count.",
            "max(postroom_oldest_ready_age_seconds{@})", "s", [(120, "orange"), (300, "red")]))
        .with_panel(figure("Dead letters", "They keep their bytes. A rise is a fault of addresses, contents or settings: see failures.",
            'sum(max by (namespace, priority) (postroom_jobs{@,state="dead"}))', "short", [(1, "orange")]))
        .with_panel(figure("Workers", "Workers with a sign of life in Redis.", "sum(max by (namespace) (postroom_workers{@}))"))
        .with_panel(figure("Redis", "1: `postroom serve` reaches it.", "min(max by (namespace) (postroom_redis_up{@}))", "bool_on_off"))
    )
    made = (
        made.with_row(dashboard.Row("Mail"))
        .with_panel(lines("Attempts by outcome", "A spike of retry passes by itself; a sustained rise of retry or dead has a reason: see failures.",
            [("sum by (outcome) (rate(postroom_attempts_total{@}[~]))", "{{outcome}}")], "ops", stacked=True))
        .with_panel(lines("Mails by state", "Ready that grows while slots are free: something holds accounts back. Retry that grows: the server's side.",
            [('sum by (state) (max by (namespace, state, priority) (postroom_jobs{@,state!="dead"}))', "{{state}}")], stacked=True))
        .with_panel(lines("Ended, by timeliness", "Late and failed use up the month's 0.5 %.",
            [("sum by (timeliness) (rate(postroom_mails_finished_total{@}[~]))", "{{timeliness}}")], "ops", stacked=True))
        .with_panel(lines("Oldest that waits", "Ready: by priority. Schedule: how long mail that is due has not been brought to its lane.",
            [("max by (priority) (postroom_oldest_ready_age_seconds{@})", "{{priority}}"),
             ("max(postroom_schedule_lag_seconds{@})", "schedule")], "s"))
    )
    made = (
        made.with_row(dashboard.Row("Time"))
        .with_panel(lines("From due to claimed", "Without deliberate delay. A sustained rise: too few workers or connections.",
            quantiles("postroom_queue_wait_seconds"), "s", 8))
        .with_panel(lines("One attempt", "The points lead to traces. A rise at the server's side shows here first.",
            quantiles("postroom_send_seconds"), "s", 8, exemplar=True))
        .with_panel(lines("A new connection", "TCP, TLS, EHLO and AUTH.", quantiles("postroom_connect_seconds"), "s", 8))
    )
    made = (
        made.with_row(dashboard.Row("Fleet"))
        .with_panel(lines("Slots: wanted, there, busy", "Wanted over there for long: scale out. This is what autoscaling goes by.",
            [("sum(max by (namespace) (postroom_slots_wanted{@}))", "wanted"), ("sum(postroom_slots{@})", "there"),
             ("sum(postroom_slots_busy{@})", "busy")], span=8))
        .with_panel(lines("Connections and logins", "Logins that rise beside steady connections: connections do not last.",
            [("sum(postroom_connections{@})", "connections"), ("sum by (result) (rate(postroom_logins_total{@}[~]))", "logins/s {{result}}")], span=8))
        .with_panel(lines("Redis memory", "Full at the limit: new mail is refused. 0 as limit: there is none.",
            [("max by (namespace) (postroom_redis_used_bytes{@})", "used {{namespace}}"),
             ("max by (namespace) (postroom_redis_max_bytes{@}) > 0 or 0 * max by (namespace) (postroom_redis_max_bytes{@})", "limit {{namespace}}")], "bytes", 8))
        .with_panel(lines("API requests", "5xx: the service's own faults or a Redis that is away. 4xx: the callers'.",
            [("sum by (status) (rate(postroom_api_requests_total{@}[~]))", "{{status}}")], "ops", 8, stacked=True))
        .with_panel(lines("API answers", "Time to the answer, of all routes.", quantiles("postroom_api_request_seconds"), "s", 8, exemplar=True))
        .with_panel(rows("Versions", "What runs.", "count by (program, version) (postroom_build_info{@})", 8))
    )
    return made


def accounts():
    """Which accounts may send, how much of their day is left, and what is held."""
    made = board("postroom-accounts", "Postroom: accounts", "Which accounts may send, how much of their day is left, what is held and why.")
    return (
        made
        .with_panel(figure("Accounts that may send", "Accounts without a hold.", 'sum(max by (namespace) (postroom_accounts{@,held="no"}))'))
        .with_panel(figure("Held until a person acts", "Consent or client is refused: each needs somebody.",
            'sum(max by (namespace, held) (postroom_accounts{@,held=~"consent|client"}))', "short", [(1, "red")]))
        .with_panel(figure("Held for a time", "They go on by themselves.",
            'sum(max by (namespace, held) (postroom_accounts{@,held!~"no|consent|client"}))', "short", [(1, "orange")]))
        .with_panel(figure("Mails held back", "Mails that wait because their account is held.",
            "sum(max by (namespace, reason) (postroom_jobs_held{@}))", "short", [(1, "orange")]))
        .with_panel(figure("Least left of a day", "Of the account that has used most of its 24 hours.",
            "1 - max(max by (namespace, account) (postroom_budget_messages_used{@}) / (max by (namespace, account) (postroom_budget_messages{@}) > 0))",
            "percentunit"))
        .with_panel(figure("Refused logins, 1 h", "Gmail refused a token. One and then success: a token that had ended. Many: a consent that is gone.",
            'sum(increase(postroom_logins_total{@,result="refused"}[1h]))', "short", [(1, "orange")]))
        .with_row(dashboard.Row("Budgets"))
        .with_panel(lines("Used of the last 24 hours", "At 1 the account's mail waits. Accounts are shown by hash; `postroom account list` tells whose.",
            [("max by (account) (postroom_budget_messages_used{@}) / (max by (account) (postroom_budget_messages{@}) > 0)", "{{account}}")], "percentunit"))
        .with_panel(rows("Least left", "Messages left of the rolling day, the ten lowest.",
            "bottomk(10, max by (account) (postroom_budget_messages{@} > 0) - max by (account) (postroom_budget_messages_used{@}))"))
        .with_row(dashboard.Row("Holds"))
        .with_panel(lines("Accounts held, by reason", "Quota at the same hour each day: the budget is too small for the load. Login_limit: too many new connections.",
            [('max by (held) (postroom_accounts{@,held!="no"})', "{{held}}")], stacked=True))
        .with_panel(lines("Mails held back, by reason", "They lose no attempt, but their deadlines run.",
            [("max by (reason) (postroom_jobs_held{@})", "{{reason}}")], stacked=True))
        .with_row(dashboard.Row("Tokens and logins"))
        .with_panel(lines("Logins", "A spike follows a deploy. A sustained rise: connections do not last.",
            [("sum by (result) (rate(postroom_logins_total{@}[~]))", "{{result}}")], "ops", 8))
        .with_panel(lines("Token refreshes", "About one an hour and account. Refused: a consent or a client is gone.",
            [("sum by (result) (rate(postroom_token_refreshes_total{@}[~]))", "{{result}}")], "ops", 8))
        .with_panel(lines("Time to a token, p95", "Cache and redis are fast; refresh is Google's answer.",
            [("histogram_quantile(0.95, sum by (le, source) (rate(postroom_token_seconds_bucket{@}[~])))", "{{source}}")], "s", 8))
    )


def failures():
    """What fails, where in the dialogue, and what became of it."""
    made = board("postroom-failures", "Postroom: failures", "What fails, at which stage, with which reply, and what became of it.")
    return (
        made
        .with_panel(figure("Late or failed, 1 h", "What uses up the month's allowance.",
            'sum(increase(postroom_mails_finished_total{@,timeliness=~"late|failed"}[1h]))', "short", [(1, "orange")]))
        .with_panel(figure("Dead letters", "Now; `postroom dead list --count` tells by reason and account.",
            'sum(max by (namespace, priority) (postroom_jobs{@,state="dead"}))', "short", [(1, "orange")]))
        .with_panel(figure("Oldest dead letter", "They are thrown away after POSTROOM_DEAD_RETENTION.", "max(postroom_oldest_dead_age_seconds{@})", "s"))
        .with_panel(figure("Waiting for a retry", "Each is tried again by itself until its deadline.",
            'sum(max by (namespace, priority) (postroom_jobs{@,state="retry"}))'))
        .with_panel(figure("Leases lost, 1 h", "Workers killed, stalled or cut off from Redis.",
            "sum(increase(postroom_leases_lost_total{@}[1h]))", "short", [(1, "orange")]))
        .with_panel(figure("Uncertain ends, 1 h", "The server may have taken the mail: Sent is asked before it is sent again.",
            "sum(increase(postroom_uncertain_total{@}[1h]))", "short", [(1, "orange")]))
        .with_row(dashboard.Row("Why"))
        .with_panel(lines("Attempts that did not end well, by reason", "`postroom explain REASON` tells what it means and what to do.",
            [('sum by (reason) (rate(postroom_attempts_total{@,outcome!="sent"}[~])) > 0', "{{reason}}")], "ops", stacked=True))
        .with_panel(lines("Replies that were no 2xx, by stage and code", "none: a cut or a silence. `postroom explain CODE` tells more.",
            [('sum by (stage, code) (rate(postroom_replies_total{@,code!~"2.."}[~])) > 0', "{{stage}} {{code}}")], "ops", stacked=True))
        .with_panel(rows("Reasons of the last hour", "How often, the most frequent first.",
            'topk(20, sum by (outcome, reason) (increase(postroom_attempts_total{@,outcome!="sent"}[1h])) > 0)'))
        .with_panel(rows("Replies of the last hour", "How often, the most frequent first.",
            'topk(20, sum by (stage, code) (increase(postroom_replies_total{@,code!~"2.."}[1h])) > 0)'))
        .with_row(dashboard.Row("What became of it"))
        .with_panel(lines("Dead letters by priority", "A step is a batch with bad addresses or content; a slope is the service.",
            [('max by (priority) (postroom_jobs{@,state="dead"})', "{{priority}}")], span=8))
        .with_panel(lines("Uncertain and reconciled", "Not_found is sent again, found is not; unreachable waits.",
            [("sum(rate(postroom_uncertain_total{@}[~]))", "uncertain"), ("sum by (result) (rate(postroom_reconciled_total{@}[~]))", "{{result}}")], "ops", 8))
        .with_panel(lines("Refused at the door", "The API's refusals by reason: an app's fault, unless storage_full or unavailable.",
            [("sum by (reason) (rate(postroom_api_refusals_total{@}[~]))", "{{reason}}")], "ops", 8, stacked=True))
        .with_row(dashboard.Row("Postroom itself"))
        .with_panel(lines("Redis: questions that failed", "A spike: a failover. Sustained: see the runbook PostroomQueueReadsFailing.",
            [('sum(rate(postroom_turns_total{@,result="failed"}[~]))', "workers"), ('sum(rate(postroom_queue_reads_total{@,result="failed"}[~]))', "serve")], "ops", 8))
        .with_panel(lines("Connections that failed", "No connection came to a login.",
            [("sum by (result) (rate(postroom_connect_seconds_count{@}[~]))", "{{result}}")], "ops", 8))
        .with_panel(lines("Spans given up", "Traces are incomplete; no mail waits for it.",
            [("sum by (job) (rate(postroom_spans_dropped_total{@}[~]))", "{{job}}")], "ops", 8))
    )


BOARDS = {"fleet": fleet, "accounts": accounts, "failures": failures}


def main():
    """Writes the JSON files, into the folder that is given or beside this script."""
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    for name, make in BOARDS.items():
        text = JSONEncoder(sort_keys=True, indent=2).encode(make().build())
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
