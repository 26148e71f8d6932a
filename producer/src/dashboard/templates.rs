//! The templates: which there are, their files and versions, and what one makes of its sample data.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{Html, Response};
use maud::{Markup, html};
use postroom_shared::clock::Millis;
use postroom_shared::templates::{Template, TemplateRef, Templates};

use super::Dashboard;
use super::bits::{bytes, empty, exact, when};
use super::content::framed;
use super::layout::{Page, Tab};
use super::trouble::Trouble;
use super::visitor::Visitor;
use crate::templates::{Compiled, Rendered};

/// All of them.
pub(super) async fn list(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Html<String>, Trouble> {
    let (templates, now) = (of(&dashboard).list().await?, Millis::now());
    let body = html! {
        h1 { "Templates" }
        @if templates.is_empty() { (empty("No template yet: put some with postroom template put FOLDER.")) } @else {
            div.card { table {
                thead { tr { th scope="col" { "Name" } th.number scope="col" { "Version" } th scope="col" { "Put" }
                    th.number scope="col" { "Size" } th scope="col" { "Parts" } } }
                tbody { @for template in &templates { tr {
                    td { a href={ "/dashboard/templates/" (template.name) } { (template.name) } }
                    td.number { (template.version) }
                    td.nowrap { (when(template.facts.put_at, now)) }
                    td.number { (bytes(template.facts.bytes as u64)) }
                    td { (template.facts.parts.join(", ")) }
                } } }
            } }
        }
    };
    Ok(Page { visitor: &visitor, tab: Tab::Templates, title: "Templates", live: None, told: None, body }.html())
}

/// One of them.
pub(super) async fn show(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Html<String>, Trouble> {
    let template = find(&dashboard, &name).await?;
    let versions = of(&dashboard).versions(&template.name).await?;
    let this = format!("{}@{}", template.name, template.version);
    let made = rendered(&template).await;
    let body = html! {
        h1 { (this) }
        p.soft { "Put " (exact(template.put_at)) ". Versions: "
            @for version in versions.iter().rev() { a href={ "/dashboard/templates/" (template.name) "@" (version) }
                aria-current=[(*version == template.version).then_some("true")] { (version) } " " } }
        section aria-labelledby="preview" { h2 #preview { "With its sample data" } (preview_part(&this, &made)) }
        section aria-labelledby="files" { h2 #files { "Files" } (files(&template)) }
    };
    Ok(Page { visitor: &visitor, tab: Tab::Templates, title: &this, live: None, told: None, body }.html())
}

fn preview_part(this: &str, made: &Result<Rendered, String>) -> Markup {
    match made {
        Err(why) => html! { p.notice { (why) } },
        Ok(made) => html! {
            p { strong { (made.subject) } }
            @if made.html.is_some() {
                iframe.preview sandbox="" title="The template's HTML" src={ "/dashboard/templates/" (this) "/preview" } {}
            }
            @if let Some(text) = &made.text { h3 { "Text" } pre tabindex="0" { (text) } }
        },
    }
}

fn files(template: &Template) -> Markup {
    let source = &template.source;
    let own = [
        ("subject.txt", Some(&source.subject)),
        ("body.html", source.html.as_ref()),
        ("body.txt", source.text.as_ref()),
    ];
    let own = own.into_iter().filter_map(|(name, text)| Some((name, text?)));
    let parts = source.parts.iter().map(|(name, text)| (name.as_str(), text));
    html! { @for (name, text) in own.chain(parts) { details { summary { (name) } pre tabindex="0" { (text) } } } }
}

/// Its HTML, for the frame.
pub(super) async fn preview(
    State(dashboard): State<Arc<Dashboard>>,
    Extension(_): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Trouble> {
    let made = rendered(&find(&dashboard, &name).await?).await.map_err(Trouble::invalid)?;
    Ok(framed(&made.html.ok_or_else(|| Trouble::missing("HTML of this template"))?))
}

/// What it makes of its sample data, on a thread where that keeps nobody waiting.
async fn rendered(template: &Template) -> Result<Rendered, String> {
    let (name, source) = (template.name.clone(), template.source.clone());
    let Some(sample) = source.sample.clone() else {
        return Err("It has no sample data: put it with a sample.json.".to_owned());
    };
    let made = tokio::task::spawn_blocking(move || {
        let compiled = Compiled::new(&name, &source)?;
        compiled.render(&sample).map_err(|fault| vec![fault])
    });
    let made =
        made.await.map_err(|_| "Postroom failed while it looked at this template, which is a bug.".to_owned())?;
    made.map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

async fn find(dashboard: &Dashboard, name: &str) -> Result<Template, Trouble> {
    let wanted: TemplateRef = name.parse().map_err(|_| Trouble::missing("template"))?;
    of(dashboard).get(&wanted).await?.ok_or_else(|| Trouble::missing("template"))
}

fn of(dashboard: &Dashboard) -> Templates {
    Templates::new(dashboard.app.client.queue().store())
}
