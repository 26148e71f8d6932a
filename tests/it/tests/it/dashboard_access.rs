//! The dashboard: who gets in, what each role may do and see, and where a change may come from.

use postroom_it::{Api, PATIENCE, PageAnswer, Rig, Visitor, until};
use serde_json::json;

const SHOP: &str = "shop@example.com";
const ANN: &str = "ann@example.org";

async fn rig(access: &str) -> (Rig, Api) {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve_dashboard(access).await.unwrap();
    (rig, api)
}

async fn visitor(rig: &Rig, api: &Api, scope: &str) -> Visitor {
    let key = rig.key(&["create", scope, "--scope", scope]).await.unwrap();
    Visitor::log_in(&api.base, &key).await.unwrap()
}

async fn account_page(rig: &Rig) -> String {
    let account = rig.queue().await.unwrap().accounts().await.unwrap().remove(0);
    format!("/dashboard/accounts/{}", account.id.hashed())
}

async fn is_held(rig: &Rig) -> bool {
    rig.queue().await.unwrap().accounts().await.unwrap()[0].hold().is_some()
}

async fn mail(api: &Api) -> String {
    let mail = json!({ "from": SHOP, "to": [ANN], "subject": format!("For {ANN}"), "text": format!("Dear {ANN}") });
    let sent = api.post("/emails", &mail).await.unwrap();
    assert_eq!(sent.status, 200, "{sent:?}");
    sent.text("id").to_owned()
}

#[tokio::test]
async fn there_is_none_unless_it_is_said_so() {
    let rig = Rig::start().await.unwrap();
    let api = rig.serve(&[]).await.unwrap();
    let stranger = Visitor::new(&api.base).unwrap();
    for path in ["/dashboard", "/dashboard/login", "/dashboard/assets/0.1.0/style.css"] {
        let answer = stranger.get(path).await.unwrap();
        assert!(answer.status == 401 && answer.text.contains("missing_api_key"), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn without_a_login_there_is_a_login_page_and_nothing_else() {
    let (rig, api) = rig("on").await;
    let stranger = Visitor::new(&api.base).unwrap();
    for path in ["/dashboard", "/dashboard/mails?q=x", "/dashboard/events", "/dashboard/keys", "/dashboard/nothing"] {
        let answer = stranger.get(path).await.unwrap();
        let to = answer.header("location");
        assert!(answer.status == 303 && to.starts_with("/dashboard/login?to=%2Fdashboard"), "{path}: {answer:?}");
    }
    let page = account_page(&rig).await;
    assert_eq!(stranger.post(&format!("{page}/hold"), &[]).await.unwrap().status, 401);
    let form = stranger.get("/dashboard/login?to=//evil.example").await.unwrap();
    assert!(form.status == 200 && !form.text.contains("evil.example"), "{form:?}");

    // A link from another site does not bring the cookie along: the page asks for itself once more.
    let first = stranger.get_from("/dashboard/mails", &[("sec-fetch-site", "cross-site")]).await.unwrap();
    assert!(first.status == 200 && first.header("refresh") == "0" && first.text.contains("One moment"), "{first:?}");
    let again = stranger.get_from("/dashboard/mails", &[("sec-fetch-site", "same-origin")]).await.unwrap();
    assert_eq!(again.status, 303);

    let sender = rig.key(&["create", "app", "--scope", "send"]).await.unwrap();
    for (key, told) in [(sender.as_str(), "may only hand mail over"), ("pr_live_x", "not valid"), ("", "not valid")] {
        let refused = stranger.post("/dashboard/login", &[("key", key)]).await.unwrap();
        assert!(refused.status == 403 && refused.text.contains(told), "{refused:?}");
        assert_eq!(refused.header("set-cookie"), "");
    }
    let all: Vec<String> = [sender, api.key.clone()].into();
    assert!(all.iter().all(|key| !api.process.log().contains(key.as_str())));
}

#[tokio::test]
async fn a_session_is_sealed_and_ends_with_its_key() {
    let (rig, api) = rig("on").await;
    let key = rig.key(&["create", "ops", "--scope", "operate", "--json"]).await.unwrap();
    let key: serde_json::Value = serde_json::from_str(&key).unwrap();
    let (id, token) = (key["id"].as_str().unwrap(), key["token"].as_str().unwrap());
    let stranger = Visitor::new(&api.base).unwrap();
    let fields = [("key", token), ("to", "/dashboard/dead?reason=quota")];
    let answer = stranger.post("/dashboard/login", &fields).await.unwrap();
    assert_eq!(answer.header("location"), "/dashboard/dead?reason=quota");
    let cookie = answer.header("set-cookie");
    for word in ["HttpOnly", "SameSite=Strict", "Path=/dashboard", "Max-Age=43200"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!cookie.contains(&token[21..]) && !cookie.contains("Secure"), "{cookie}");

    let visitor = Visitor::log_in(&api.base, token).await.unwrap();
    assert_eq!(visitor.get("/dashboard").await.unwrap().status, 200);
    let mut forged = Visitor::new(&api.base).unwrap();
    let text = visitor.cookie.clone().unwrap();
    let (head, last) = text.split_at(text.len() - 4);
    forged.cookie = Some(format!("{head}{}", if last == "AAAA" { "BBBB" } else { "AAAA" }));
    assert_eq!(forged.get("/dashboard").await.unwrap().status, 303);

    // Revoked elsewhere: this server hears of it.
    rig.key(&["revoke", id]).await.unwrap();
    until("the session to end", PATIENCE, || async {
        Ok((visitor.get("/dashboard").await?.status == 303).then_some(()))
    })
    .await
    .unwrap();

    // Revoked on the page itself: out with the very next request.
    let admin = Visitor::log_in(&api.base, &api.key).await.unwrap();
    let viewer = self::visitor(&rig, &api, "read").await;
    let keys = api.get("/keys").await.unwrap();
    let of_viewer = keys.body["data"].as_array().unwrap().iter().find(|key| key["name"] == "read").unwrap();
    let path = format!("/dashboard/keys/{}/revoke", of_viewer["id"].as_str().unwrap());
    assert_eq!(viewer.get("/dashboard").await.unwrap().status, 200);
    assert_eq!(admin.post(&path, &[]).await.unwrap().status, 303);
    assert_eq!(viewer.get("/dashboard").await.unwrap().status, 303);

    let out = admin.post("/dashboard/logout", &[]).await.unwrap();
    assert!(out.status == 303 && out.header("set-cookie").contains("postroom_session=; "), "{out:?}");
}

#[tokio::test]
async fn each_role_does_what_it_may_and_no_more() {
    let (rig, api) = rig("on").await;
    let page = account_page(&rig).await;
    let (hold, resume) = (format!("{page}/hold"), format!("{page}/resume"));
    let (viewer, operator) = (visitor(&rig, &api, "read").await, visitor(&rig, &api, "operate").await);
    let admin = visitor(&rig, &api, "admin").await;

    let id = mail(&api).await;
    let changes = [
        hold.clone(),
        resume.clone(),
        format!("/dashboard/mails/{id}/cancel"),
        "/dashboard/dead/retry".to_owned(),
        "/dashboard/dead/discard".to_owned(),
        "/dashboard/keys".to_owned(),
        "/dashboard/keys/0123456789ab/revoke".to_owned(),
    ];
    for path in &changes {
        let refused = viewer.post(path, &[]).await.unwrap();
        assert!(refused.status == 403 && refused.text.contains("needs the role"), "{path}: {refused:?}");
    }
    assert!(!is_held(&rig).await);
    assert!(!viewer.get(&page).await.unwrap().text.contains("Hold it"));
    assert!(operator.get(&page).await.unwrap().text.contains("Hold it"));
    let done = operator.post(&hold, &[]).await.unwrap();
    assert_eq!((done.status, done.header("location")), (303, format!("{page}?told=held&changed=1&failed=0").as_str()));
    assert!(is_held(&rig).await);
    let told = operator.get(done.header("location")).await.unwrap();
    assert!(told.text.contains("The account is held") && told.text.contains("Resume it"), "{told:?}");
    assert_eq!(operator.post(&resume, &[]).await.unwrap().status, 303);
    assert!(!is_held(&rig).await);

    for refused in [&viewer, &operator] {
        assert_eq!(refused.get("/dashboard/keys").await.unwrap().status, 403);
        assert_eq!(refused.post("/dashboard/keys", &[("name", "x"), ("scope", "admin")]).await.unwrap().status, 403);
    }
    let fields = [("name", "<b>shop"), ("scope", "send"), ("mode", "live")];
    let made = admin.post("/dashboard/keys", &fields).await.unwrap();
    assert!(made.status == 200 && made.text.contains("pr_live_") && made.text.contains("&lt;b&gt;shop"), "{made:?}");
    assert!(!admin.get("/dashboard/keys").await.unwrap().text.contains("pr_live_"));

    // The scope is the same for the API.
    let key = rig.key(&["create", "two", "--scope", "operate"]).await.unwrap();
    let asked = api.ask_with(&key, "POST", &format!("/accounts/{SHOP}/hold"), &[], &serde_json::Value::Null).await;
    assert_eq!(asked.unwrap().status, 200);
    let asked = api.ask_with(&key, "GET", "/keys", &[], &serde_json::Value::Null).await.unwrap();
    assert_eq!((asked.status.as_u16(), asked.text("name")), (401, "restricted_api_key"));
}

#[tokio::test]
async fn a_change_is_taken_from_our_own_pages_only() {
    let (rig, api) = rig("on").await;
    let hold = format!("{}/hold", account_page(&rig).await);
    let operator = visitor(&rig, &api, "operate").await;
    for headers in [
        &[][..],
        &[("origin", "http://evil.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", &api.base)],
        &[("sec-fetch-site", "same-site")],
    ] {
        let refused = operator.post_from(&hold, &[], headers).await.unwrap();
        assert!(refused.status == 403 && refused.text.contains("another site"), "{headers:?}: {refused:?}");
        let stranger = Visitor::new(&api.base).unwrap();
        let login = stranger.post_from("/dashboard/login", &[("key", &api.key)], headers).await.unwrap();
        assert_eq!((login.status, login.header("set-cookie")), (403, ""), "{headers:?}");
    }
    assert!(!is_held(&rig).await);
    assert_eq!(operator.post_from(&hold, &[], &[("sec-fetch-site", "same-origin")]).await.unwrap().status, 303);
    assert!(is_held(&rig).await);
}

#[tokio::test]
async fn read_only_changes_nothing_for_anybody() {
    let (rig, api) = rig("read-only").await;
    let page = account_page(&rig).await;
    let admin = visitor(&rig, &api, "admin").await;
    for path in [&format!("{page}/hold"), "/dashboard/dead/retry", "/dashboard/keys"] {
        let refused = admin.post(path, &[("name", "x"), ("scope", "send")]).await.unwrap();
        assert!(refused.status == 403 && refused.text.contains("read-only"), "{path}: {refused:?}");
    }
    assert!(!is_held(&rig).await);
    let shown = admin.get(&page).await.unwrap();
    assert!(shown.status == 200 && !shown.text.contains("Hold it"), "{shown:?}");
    assert_eq!(admin.post("/dashboard/logout", &[]).await.unwrap().status, 303);
}

/// All pages that there are.
async fn pages(rig: &Rig, id: &str) -> Vec<String> {
    let page = account_page(rig).await;
    let all = ["", "/mails", "/dead", "/dead/retry", "/accounts", "/templates", "/workers", "/keys", "/nothing"];
    let all = all.into_iter().map(|path| format!("/dashboard{path}"));
    let of_mail = ["", "/source", "/preview"].map(|path| format!("/dashboard/mails/{id}{path}"));
    all.chain(of_mail).chain([page]).collect()
}

fn check_headers(path: &str, answer: &PageAnswer) {
    let policy = answer.header("content-security-policy");
    let wanted = ["default-src 'none'", "form-action", "base-uri 'none'", "frame-ancestors"];
    assert!(wanted.iter().all(|word| policy.contains(word)), "{path}: {policy}");
    assert!(!policy.contains("unsafe-eval") && !policy.contains("script-src 'unsafe"), "{path}: {policy}");
    assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
}

#[tokio::test]
async fn every_page_has_its_policy_and_nothing_inline() {
    let (rig, api) = rig("on").await;
    let id = mail(&api).await;
    let admin = visitor(&rig, &api, "admin").await;
    for path in pages(&rig, &id).await {
        let answer = admin.get(&path).await.unwrap();
        let expected = if path.ends_with("/nothing") || path.ends_with("/preview") { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{path}: {}", answer.text);
        check_headers(&path, &answer);
        let scripts = answer.text.matches("<script").count();
        assert_eq!(scripts, answer.text.matches("<script src=\"/dashboard/assets/").count(), "{path}");
        for word in ["<style", " style=", " onclick", " onload", "javascript:"] {
            assert!(!answer.text.contains(word), "{path}: {word}");
        }
    }
    for name in ["style.css", "live.js", "htmx-2.0.8.min.js", "icon.svg"] {
        let stranger = Visitor::new(&api.base).unwrap();
        let file = stranger.get(&format!("/dashboard/assets/{}/{name}", env!("CARGO_PKG_VERSION"))).await.unwrap();
        assert!(file.status == 200 && file.header("etag").len() > 10, "{name}: {file:?}");
    }
    let stranger = Visitor::new(&api.base).unwrap();
    check_headers("/dashboard/login", &stranger.get("/dashboard/login").await.unwrap());
}

#[tokio::test]
async fn viewers_see_masked_addresses_and_no_contents() {
    let (rig, api) = rig("on").await;
    let id = mail(&api).await;
    let (viewer, operator) = (visitor(&rig, &api, "read").await, visitor(&rig, &api, "operate").await);
    let queue = rig.queue().await.unwrap();
    let note = format!("told to {ANN}");
    let account = SHOP.parse().unwrap();
    let hold = queue.hold(&account, postroom::Reason::Operator, &note, postroom_shared::account::Pause::UntilAPerson);
    hold.await.unwrap();
    for path in pages(&rig, &id).await {
        let answer = viewer.get(&path).await.unwrap();
        assert!(!answer.text.contains(ANN) && !answer.text.contains(SHOP), "{path}: {}", answer.text);
    }
    let shown = viewer.get(&format!("/dashboard/mails/{id}")).await.unwrap();
    assert!(shown.text.contains("a***@example.org") && shown.text.contains("For a***@example.org"), "{}", shown.text);
    assert_eq!(viewer.get(&format!("/dashboard/mails/{id}/source")).await.unwrap().status, 403);
    assert_eq!(viewer.get(&format!("/dashboard/mails/{id}/preview")).await.unwrap().status, 403);
    let shown = operator.get(&format!("/dashboard/mails/{id}")).await.unwrap();
    assert!(shown.text.contains(ANN) && shown.text.contains(&format!("Dear {ANN}")), "{}", shown.text);

    // Nothing of an address stands in an address bar or in the log because of us.
    let list = operator.get("/dashboard/accounts").await.unwrap();
    assert!(!list.text.contains(&format!("href=\"/dashboard/accounts/{SHOP}")), "{}", list.text);
    assert!(!api.process.log().contains(ANN) && !api.process.log().contains(SHOP));
}

#[tokio::test]
async fn a_bound_key_sees_its_own_account_only() {
    let (rig, api) = rig("on").await;
    rig.add_account("news@example.com").await.unwrap();
    let id = mail(&api).await;
    let key = rig.key(&["create", "news", "--scope", "operate", "--account", "news@example.com"]).await.unwrap();
    let bound = Visitor::log_in(&api.base, &key).await.unwrap();
    for path in ["/dashboard", "/dashboard/mails", "/dashboard/accounts", "/dashboard/dead"] {
        let answer = bound.get(path).await.unwrap();
        assert!(answer.status == 200 && !answer.text.contains(SHOP), "{path}: {}", answer.text);
    }
    assert!(bound.get("/dashboard/accounts").await.unwrap().text.contains("news@example.com"));
    let hash = SHOP.parse::<postroom::AccountId>().unwrap().hashed();
    assert_eq!(bound.get(&format!("/dashboard/mails/{id}")).await.unwrap().status, 404);
    assert_eq!(bound.get(&format!("/dashboard/accounts/{hash}")).await.unwrap().status, 404);
    assert_eq!(bound.post(&format!("/dashboard/mails/{id}/cancel"), &[]).await.unwrap().status, 404);
    assert_eq!(bound.post(&format!("/dashboard/accounts/{hash}/hold"), &[]).await.unwrap().status, 404);
}
