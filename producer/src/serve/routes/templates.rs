//! `/templates`: what mails are made of. Put, look, try out, remove; docs/templates.md tells how to write them.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use postroom_shared::audit::{Action, Subject};
use postroom_shared::clock::Millis;
use postroom_shared::mail::Fault;
use postroom_shared::templates::{MOST_TEMPLATES, Put, Template, Templates};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::template_shapes::{
    FilesRequest, PreviewBody, PreviewRequest, PutBody, PutList, SummaryList, TemplateBody, TemplateRequest,
    TemplateSummaryBody, TemplatesRequest,
};
use crate::door::Refusal;
use crate::serve::app::App;
use crate::serve::auth::{Caller, Scope};
use crate::serve::body::Payload;
use crate::serve::emails::shape::time;
use crate::serve::error::{ApiError, ErrorBody};
use crate::templates::{Compiled, Rendered, TemplateFault, TemplateName, TemplateRef, TemplateSource, used_parts};

pub(in crate::serve) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, put_one, put_all)).routes(routes!(show, remove)).routes(routes!(preview))
}

/// The templates
#[utoipa::path(get, path = "/templates", tag = "templates", operation_id = "listTemplates",
    responses((status = 200, description = "Each in its newest version.", body = SummaryList)))]
async fn list(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Result<Json<SummaryList>, ApiError> {
    caller.demand(Scope::Read)?;
    let list = of(&app).list().await?;
    Ok(Json(SummaryList { object: "list", data: list.into_iter().map(TemplateSummaryBody::from).collect() }))
}

/// Put a template
///
/// It is checked first. If it is the same as its newest version, nothing changes.
#[utoipa::path(post, path = "/templates", tag = "templates", operation_id = "putTemplate", request_body = TemplateRequest,
    responses(
        (status = 200, description = "It is put.", body = PutBody),
        (status = 422, description = "It cannot work; all its faults by file and line.", body = ErrorBody),
    ))]
async fn put_one(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    payload: Payload,
) -> Result<Json<PutBody>, ApiError> {
    may_change(&caller)?;
    let TemplateRequest { name, subject, html, text, sample, parts } = payload.json()?;
    let files = FilesRequest { subject, html, text, sample };
    let subject_of_log = Subject::Template(name.clone());
    let mut put = store(&app, [(name, files)].into(), parts).await?;
    app.note(&caller, Action::TemplatePut, subject_of_log).await;
    put.pop().map(Json).ok_or_else(|| ApiError::internal("nothing was put"))
}

/// Put templates that share parts
///
/// All are checked before any is put. Doing it again harms nothing.
#[utoipa::path(put, path = "/templates", tag = "templates", operation_id = "putTemplates", request_body = TemplatesRequest,
    responses(
        (status = 200, description = "They are put.", body = PutList),
        (status = 422, description = "Some cannot work; all faults by file and line.", body = ErrorBody),
    ))]
async fn put_all(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    payload: Payload,
) -> Result<Json<PutList>, ApiError> {
    may_change(&caller)?;
    let TemplatesRequest { templates, parts } = payload.json()?;
    let count = templates.len();
    let data = store(&app, templates, parts).await?;
    app.note(&caller, Action::TemplatePut, Subject::Templates(count)).await;
    Ok(Json(PutList { object: "list", data }))
}

/// A template with its files
///
/// `welcome` is its newest version, `welcome@3` that one.
#[utoipa::path(get, path = "/templates/{name}", tag = "templates", operation_id = "getTemplate",
    params(("name" = String, Path, description = "Its name, with a version if wanted: `welcome@3`")),
    responses(
        (status = 200, description = "The template.", body = TemplateBody),
        (status = 404, description = "There is no such template, or no such version (any more).", body = ErrorBody),
    ))]
async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
) -> Result<Json<TemplateBody>, ApiError> {
    caller.demand(Scope::Read)?;
    let Template { name, version, put_at, sha, source } = find(&app, &name).await?;
    let versions = of(&app).versions(&name).await?;
    let compiled = Compiled::new(&name, &source).map_err(|faults| refused(&faults))?;
    let variables = compiled.variables().into_iter().collect();
    let TemplateSource { subject, html, text, parts, sample } = source;
    let (id, put_at) = (name.to_string(), time(put_at));
    let object = "template";
    Ok(Json(TemplateBody { object, id, version, versions, put_at, sha, variables, subject, html, text, parts, sample }))
}

/// Remove a template
///
/// With all its versions; mails that were handed over stay.
#[utoipa::path(delete, path = "/templates/{name}", tag = "templates", operation_id = "removeTemplate",
    params(("name" = String, Path, description = "Its name, without a version")),
    responses(
        (status = 200, description = "It is removed.", body = RemovedBody),
        (status = 404, description = "There is no such template.", body = ErrorBody),
    ))]
async fn remove(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
) -> Result<Json<RemovedBody>, ApiError> {
    may_change(&caller)?;
    let name: TemplateName = name.parse().map_err(|_| ApiError::not_found("Template"))?;
    if !of(&app).remove(&name).await? {
        return Err(ApiError::not_found("Template"));
    }
    app.client.forget_templates().await;
    app.note(&caller, Action::TemplateRemove, Subject::Template(name.to_string())).await;
    Ok(Json(RemovedBody { object: "template", id: name.to_string(), deleted: true }))
}

/// A template that was removed.
#[derive(Serialize, ToSchema)]
struct RemovedBody {
    /// Always `template`.
    object: &'static str,
    /// Its name.
    id: String,
    /// Always true.
    deleted: bool,
}

/// Try a template out
#[utoipa::path(post, path = "/templates/{name}/preview", tag = "templates", operation_id = "previewTemplate",
    params(("name" = String, Path, description = "Its name, with a version if wanted: `welcome@3`")),
    request_body = PreviewRequest,
    responses(
        (status = 200, description = "What it makes.", body = PreviewBody),
        (status = 404, description = "There is no such template, or no such version (any more).", body = ErrorBody),
        (status = 422, description = "It fails with these variables.", body = ErrorBody),
    ))]
async fn preview(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(name): Path<String>,
    payload: Payload,
) -> Result<Json<PreviewBody>, ApiError> {
    caller.demand(Scope::Read)?;
    let PreviewRequest { variables } = payload.json()?;
    let Template { name, source, .. } = find(&app, &name).await?;
    let none = || ApiError::invalid("variables: the template has no sample: give variables");
    let variables = variables.or_else(|| source.sample.clone()).ok_or_else(none)?;
    if !variables.is_object() {
        return Err(ApiError::invalid("variables: expected an object of names and values"));
    }
    let rendered = apart(move || {
        let compiled = Compiled::new(&name, &source)?;
        compiled.render(&variables).map_err(|fault| vec![fault])
    });
    let Rendered { subject, html, text } = rendered.await?.map_err(|faults| refused(&faults))?;
    Ok(Json(PreviewBody { subject, html, text }))
}

/// Templates are everybody's: a key changes them only if it is an admin's over all accounts, and no test key.
fn may_change(caller: &Caller) -> Result<(), ApiError> {
    caller.demand(Scope::Admin)?;
    if caller.is_test() || caller.accounts().is_some() {
        let message = "Templates are shared by all accounts: use a live key that is bound to none";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "restricted_api_key", message));
    }
    Ok(())
}

fn of(app: &App) -> Templates {
    Templates::new(app.client.queue().store())
}

async fn find(app: &App, name: &str) -> Result<Template, ApiError> {
    let wanted: TemplateRef = name.parse().map_err(|_| ApiError::not_found("Template"))?;
    of(app).get(&wanted).await?.ok_or_else(|| ApiError::not_found("Template"))
}

/// Checks all, then puts all.
async fn store(
    app: &App,
    files: BTreeMap<String, FilesRequest>,
    parts: BTreeMap<String, String>,
) -> Result<Vec<PutBody>, ApiError> {
    if files.len() > MOST_TEMPLATES {
        return Err(ApiError::invalid(format!("{} templates: {MOST_TEMPLATES} at most", files.len())));
    }
    let checked = apart(move || check(files, &parts)).await?.map_err(|faults| refused(&faults))?;
    let templates = of(app);
    let mut put = Vec::with_capacity(checked.len());
    for (name, source) in checked {
        let (version, new) = match templates.put(&name, &source, Millis::now()).await? {
            Put::New(version) => (version, true),
            Put::Same(version) => (version, false),
            Put::TooMany => {
                let message =
                    format!("{name} was not put, for there are {MOST_TEMPLATES} templates: remove some first");
                return Err(ApiError::invalid(message));
            }
        };
        put.push(PutBody { object: "template", id: name.to_string(), version, new });
    }
    app.client.forget_templates().await;
    Ok(put)
}

type Checked = Vec<(TemplateName, TemplateSource)>;

fn check(files: BTreeMap<String, FilesRequest>, all: &BTreeMap<String, String>) -> Result<Checked, Vec<TemplateFault>> {
    let (mut checked, mut faults) = (Checked::new(), Vec::new());
    for (name, FilesRequest { subject, html, text, sample }) in files {
        let name: TemplateName = match name.parse() {
            Ok(name) => name,
            Err(message) => {
                faults.push(TemplateFault { file: "name".to_owned(), line: None, message });
                continue;
            }
        };
        let mut source = TemplateSource { subject, html, text, parts: BTreeMap::new(), sample };
        source.parts = used_parts(&source, all);
        match Compiled::checked(&name, &source) {
            Ok(_) => checked.push((name, source)),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(checked) } else { Err(faults) }
}

/// Compiling and rendering may take long: on a thread where it keeps nobody waiting.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    let failed = |_| ApiError::internal("Postroom failed while it looked at this template, which is a bug");
    tokio::task::spawn_blocking(work).await.map_err(failed)
}

fn refused(faults: &[TemplateFault]) -> ApiError {
    let told = |fault: &TemplateFault| {
        let line = fault.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        Fault { field: fault.file.clone(), message: format!("{line}{}", fault.message) }
    };
    match Refusal::unless_empty(faults.iter().map(told).collect()) {
        Some(refusal) => ApiError::of_mail(&refusal),
        None => ApiError::invalid("the template cannot work"),
    }
}
