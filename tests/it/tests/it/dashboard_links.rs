//! From an alert to the trace of what failed, by whoever only follows links: alert, dashboard, mail, reply, trace.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use postroom_it::{Api, Collector, PATIENCE, Rig, RigOptions, Visitor, http, until};
use postroom_sandbox::{Action, Fault, Stage};
use postroom_shared::queue::{MailState, MailStatus};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::in_state;

const SHOP: &str = "shop@example.com";
const WORDS: &str = "The email account that you tried to reach does not exist.";
/// Prometheus puts the address of `postroom serve` here.
const BASE: &str = "{{ $externalLabels.postroom_url }}";

/// Each alert of the rules with where it says to look on the dashboard.
fn alerts() -> BTreeMap<String, String> {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../k8s/monitoring/rules/postroom.yaml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let of_alert = |rule: &str| {
        let (name, rest) = rule.split_once('\n')?;
        let url = rest.lines().find_map(|line| line.trim().strip_prefix("dashboard_url: "))?;
        Some((name.to_owned(), url.trim_matches('\'').to_owned()))
    };
    rules.split("- alert: ").skip(1).filter_map(of_alert).collect()
}

/// Somebody with a page before them, who knows nothing but what stands on it.
struct Reader {
    visitor: Visitor,
    base: String,
    page: String,
    /// Where links have led, the alert's first.
    steps: Vec<String>,
}

impl Reader {
    /// Follows a link, to another page or to another place of this one. It must lead to one of the dashboard's.
    async fn follow(&mut self, link: &str) {
        self.steps.push(link.to_owned());
        if link.starts_with('#') {
            return;
        }
        let path = link.strip_prefix(&self.base).unwrap_or(link).to_owned();
        assert!(path.starts_with("/dashboard"), "{link}");
        let answer = self.visitor.get(&path).await.unwrap();
        assert_eq!(answer.status, 200, "{link}: {}", answer.text);
        self.page = answer.text;
    }

    /// What the element says to which the last link led.
    fn place(&self) -> &str {
        let name = self.steps.last().unwrap().strip_prefix('#').unwrap();
        let (_, rest) = self.page.split_once(&format!("id=\"{name}\"")).unwrap_or_else(|| panic!("no {name}"));
        rest.split_once("</li>").unwrap().0
    }
}

/// Where the first link leads whose words hold these.
fn link(html: &str, words: &str) -> String {
    let links = html.split("<a ").skip(1).filter_map(|rest| rest.split_once("</a>").map(|(link, _)| link));
    let link = links.into_iter().find(|link| link.contains(words)).unwrap_or_else(|| panic!("no link {words}: {html}"));
    link.split_once("href=\"").unwrap().1.split_once('"').unwrap().0.replace("&amp;", "&")
}

/// Shows the traces that the collector got, as a trace viewer would: their spans as JSON at `/trace/ID`.
async fn viewer(collector: Collector) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = show(stream, &collector).await;
        }
    });
    base
}

async fn show(stream: TcpStream, collector: &Collector) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let trace = line.split(' ').nth(1).and_then(|path| path.strip_prefix("/trace/")).unwrap_or_default();
    let spans = collector.spans().into_iter().filter(|span| span.trace == trace);
    let told = spans.map(|span| json!({ "name": span.name, "failed": span.failed, "attributes": span.attributes }));
    let body = Value::from(told.collect::<Vec<_>>()).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await
}

/// A mail that died of what the server said, as its programs tell it to a collector.
async fn dead(rig: &Rig, api: &Api) -> MailStatus {
    let gone = Action::reply(&format!("550 5.1.1 {WORDS}"));
    rig.sandbox.add_fault(Fault::new(Stage::Rcpt, gone).times(1)).unwrap();
    let mail = json!({ "from": SHOP, "to": ["bob@example.org"], "subject": "Your order", "text": "Thank you." });
    let id = api.post("/emails", &mail).await.unwrap().text("id").parse().unwrap();
    in_state(&rig.queue().await.unwrap(), id, MailState::Dead).await
}

#[tokio::test]
async fn four_links_lead_from_an_alert_to_the_trace() {
    let collector = Collector::start().await.unwrap();
    let settings =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()), ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned())];
    let settings = settings.map(|(name, value)| (name.to_owned(), value)).into();
    let rig = Rig::start_with(RigOptions { settings, ..RigOptions::default() }).await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let _worker = rig.worker(&[]).unwrap();
    let traces = viewer(collector).await;
    let further = [("POSTROOM_DASHBOARD", "on"), ("POSTROOM_TRACE_URL", &*format!("{traces}/trace/{{trace_id}}"))];
    let api = rig.serve(&further).await.unwrap();
    let mail = dead(&rig, &api).await;

    let key = rig.key(&["create", "ann", "--scope", "operate"]).await.unwrap();
    let visitor = Visitor::log_in(&api.base, &key).await.unwrap();
    let mut reader = Reader { visitor, base: api.base.clone(), page: String::new(), steps: Vec::new() };
    let alert = alerts()["PostroomDeadGrowing"].replace(BASE, &api.base);

    // 1: from the alert to the dashboard's dead letters.
    reader.follow(&alert).await;
    assert!(reader.page.contains("1 fit"), "{}", reader.page);
    // 2: to the mail.
    let to = link(&reader.page, "Your order");
    reader.follow(&to).await;
    assert!(reader.page.contains(&mail.id.to_string()) && reader.page.contains("bob@example.org"), "{}", reader.page);
    // 3: to what the server said, what it means and what to do.
    let to = link(&reader.page, "What the server said");
    reader.follow(&to).await;
    for words in [WORDS, "It means", "What to do", "550 5.1.1"] {
        assert!(reader.place().contains(words), "{words}: {}", reader.place());
    }
    // 4: to the trace of that attempt.
    let to = link(reader.place(), "Show the trace");
    reader.steps.push(to.clone());
    assert_eq!(reader.steps.len(), 4, "{:?}", reader.steps);
    let id = mail.id.to_string();
    let span = until("the trace of the attempt", PATIENCE, || async {
        let spans: Value = serde_json::from_str(&http("GET", &to, "text/plain", "").await?.body)?;
        let of_mail = |span: &&Value| span["attributes"]["messaging.message.id"] == *id;
        Ok(spans.as_array().and_then(|spans| spans.iter().find(of_mail).cloned()))
    });
    let span = span.await.unwrap();
    assert_eq!((&span["name"], &span["failed"]), (&json!("process postroom"), &json!(true)));
    assert_eq!(span["attributes"]["smtp.reply.code"], "550", "{span}");
    println!("alert → dashboard → mail → reply → trace: {} steps: {:?}", reader.steps.len(), reader.steps);
}

#[tokio::test]
async fn an_alerts_link_is_there_for_every_page_and_survives_the_login() {
    let rig = Rig::start().await.unwrap();
    let api = rig.serve_dashboard("on").await.unwrap();
    let stranger = Visitor::new(&api.base).unwrap();
    let alerts = alerts();
    assert!(alerts.len() > 10, "{alerts:?}");
    let paths: BTreeSet<&str> = alerts.values().map(|url| url.strip_prefix(BASE).unwrap()).collect();
    for path in paths {
        let asked = stranger.get(path).await.unwrap();
        let form = stranger.get(asked.header("location")).await.unwrap();
        assert_eq!((asked.status, form.status), (303, 200), "{path}");
        let to = form.text.split("name=\"to\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let fields = [("key", &*api.key), ("to", to)];
        let answer = stranger.post("/dashboard/login", &fields).await.unwrap();
        assert_eq!((answer.status, answer.header("location")), (303, path));
        let mut visitor = Visitor::new(&api.base).unwrap();
        visitor.cookie = answer.header("set-cookie").split(';').next().map(str::to_owned);
        assert_eq!(visitor.get(path).await.unwrap().status, 200, "{path}");
    }
}
