//! What is done at the dashboard stands in the audit log, by whom and to what; the page shows it to those alone who may see all.

use postroom_it::{Api, Rig, Visitor};
use postroom_shared::audit::Audit;
use serde_json::json;

const SHOP: &str = "shop@example.com";

async fn visitor(rig: &Rig, api: &Api, name: &str, further: &[&str]) -> Visitor {
    let key = rig.key(&[&["create", name], further].concat()).await.unwrap();
    Visitor::log_in(&api.base, &key).await.unwrap()
}

#[tokio::test]
async fn what_is_done_at_the_dashboard_stands_in_the_audit_log() {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve_dashboard("on").await.unwrap();
    let ann = visitor(&rig, &api, "ann", &["--scope", "operate"]).await;
    let hash = SHOP.parse::<postroom::AccountId>().unwrap().hashed();
    let mail = json!({ "from": SHOP, "to": ["bob@example.org"], "subject": "s", "text": "t" });
    let id = api.post("/emails", &mail).await.unwrap().text("id").to_owned();
    for path in [
        format!("/accounts/{hash}/hold"),
        format!("/accounts/{hash}/resume"),
        format!("/mails/{id}/cancel"),
        // Nothing is changed by these, and nothing is told of them.
        format!("/mails/{id}/cancel"),
        "/dead/discard".to_owned(),
        "/logout".to_owned(),
    ] {
        let answer = ann.post(&format!("/dashboard{path}"), &[("reason", "quota")]).await.unwrap();
        assert_eq!(answer.status, 303, "{path}: {}", answer.text);
    }
    let bob = visitor(&rig, &api, "bob", &["--admin"]).await;
    let made = bob.post("/dashboard/keys", &[("name", "new"), ("scope", "read"), ("mode", "live")]).await.unwrap();
    assert_eq!(made.status, 200, "{}", made.text);

    let log = Audit::new(&rig.store().await.unwrap()).page(100, None).await.unwrap();
    let told: Vec<_> = log.entries.iter().rev().filter(|entry| entry.actor.id != "cli").collect();
    let told: Vec<_> = told.iter().map(|it| [&*it.actor.name, &*it.actor.role, &*it.action, &*it.subject]).collect();
    let (account, mail) = (format!("account {hash}"), format!("mail {id}"));
    let expected = [
        ["ann", "operator", "session.login", "-"],
        ["ann", "operator", "account.hold", &*account],
        ["ann", "operator", "account.resume", &*account],
        ["ann", "operator", "mail.cancel", &*mail],
        ["ann", "operator", "session.logout", "-"],
        ["bob", "admin", "session.login", "-"],
    ];
    assert_eq!(told[..expected.len()], expected);
    assert_eq!((told.len(), told[expected.len()][2]), (expected.len() + 1, "key.create"));

    let page = bob.get("/dashboard/audit").await.unwrap();
    assert_eq!(page.status, 200, "{}", page.text);
    for words in ["account.hold", "account.resume", "session.logout", &account, &mail, "ann", "operator", "done"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(!page.text.contains("Older") && !page.text.contains(SHOP), "{}", page.text);
    assert_eq!(bob.get("/dashboard/audit?after=x").await.unwrap().status, 422);
}

#[tokio::test]
async fn the_audit_log_is_for_admins_of_all_accounts_and_has_pages() {
    let rig = Rig::start().await.unwrap();
    rig.add_account(SHOP).await.unwrap();
    let api = rig.serve_dashboard("on").await.unwrap();
    for (name, further) in [
        ("viewer", &["--scope", "read"][..]),
        ("operator", &["--scope", "operate"]),
        ("bound", &["--admin", "--account", SHOP]),
        ("tester", &["--admin", "--test"]),
    ] {
        let visitor = visitor(&rig, &api, name, further).await;
        let overview = visitor.get("/dashboard").await.unwrap();
        assert!(overview.status == 200 && !overview.text.contains("/dashboard/audit"), "{name}");
        assert_eq!(visitor.get("/dashboard/audit").await.unwrap().status, 403, "{name}");
    }
    let admin = Visitor::log_in(&api.base, &api.key).await.unwrap();
    for _ in 0..101 {
        assert_eq!(
            Visitor::log_in(&api.base, &api.key).await.unwrap().get("/dashboard/keys").await.unwrap().status,
            200
        );
    }
    let rows = |text: &str| text.matches("<tr><td").count();
    let first = admin.get("/dashboard/audit").await.unwrap();
    assert_eq!(rows(&first.text), 100, "{}", first.text);
    let older = first.text.split("href=\"").find(|link| link.starts_with("/dashboard/audit?after=")).unwrap();
    let second = admin.get(older.split('"').next().unwrap()).await.unwrap();
    assert!(rows(&second.text) > 2 && second.text.contains("key.create"), "{}", second.text);
}
